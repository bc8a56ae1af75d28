"""The lines that a worker's process writes.

Lines are read as they come, and once more when an invocation is answered: what a function printed before its
answer is then in the pipe already, so reading until the pipe is empty gives every line to the invocation it belongs to.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

# An event of CloudWatch Logs has at most 1 MiB ("Service quotas" of CloudWatch Logs); a longer line becomes several.
MAX_LINE_BYTES: Final = 1_048_576

_CHUNK_BYTES: Final = 65_536
# A thread that goes on printing after the answer must not hold the answer up.
_MAX_DRAIN_CHUNKS: Final = 32


class LineSplitter:
    """Cuts a stream of bytes into lines of text."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that *data* completes."""
        self._rest += data
        *lines, rest = bytes(self._rest).split(b"\n") if b"\n" in data else [bytes(self._rest)]
        pieces = [piece for line in lines for piece in _pieces(line)]
        while len(rest) > MAX_LINE_BYTES:
            pieces.append(rest[:MAX_LINE_BYTES])
            rest = rest[MAX_LINE_BYTES:]
        self._rest = bytearray(rest)
        return [_text(piece) for piece in pieces]

    def rest(self) -> list[str]:
        """Return the last line, if it has no end."""
        rest, self._rest = bytes(self._rest), bytearray()
        return [_text(rest)] if rest else []


def _pieces(line: bytes) -> list[bytes]:
    return [line[start : start + MAX_LINE_BYTES] for start in range(0, max(1, len(line)), MAX_LINE_BYTES)]


def _text(line: bytes) -> str:
    # awslambdaric writes a traceback as one line, with returns in it.
    return line.removesuffix(b"\r").replace(b"\r", b"\n").decode("utf-8", "replace")


class Output:
    """The reading end of the pipe that a process writes to. *on_line* is called with every line.

    The writing end, ``write_fd``, is for the process; ``close_writing`` once it has it.
    """

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._splitter = LineSplitter()
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        self._is_open = True

    def close_writing(self) -> None:
        """Close this process's copy of the writing end."""
        os.close(self.write_fd)

    async def read(self) -> None:
        """Read until nobody can write any more, or cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self._read_fd)
            try:
                if not self._read_some():
                    return
            except BlockingIOError:
                continue  # ``drain`` was quicker

    def drain(self) -> None:
        """Read what has been written so far."""
        for _ in range(_MAX_DRAIN_CHUNKS):
            try:
                if not self._is_open or not self._read_some():
                    return
            except BlockingIOError:
                return

    def close(self) -> None:
        """Read what is left, and stop reading. Processes that still hold the writing end are not waited for."""
        if self._is_open:
            self.drain()
            self._is_open = False
            trio.lowlevel.notify_closing(self._read_fd)
            os.close(self._read_fd)
            for line in self._splitter.rest():
                self._on_line(line)

    def _read_some(self) -> bool:
        """Read a chunk; False at the end of the stream."""
        data = os.read(self._read_fd, _CHUNK_BYTES)
        for line in self._splitter.feed(data):
            self._on_line(line)
        return bool(data)
