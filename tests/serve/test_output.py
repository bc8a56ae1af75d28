"""Lines out of bytes."""

from __future__ import annotations

import os

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from durable_trio.local.workers.output import MAX_LINE_BYTES, LineSplitter, Output


@given(st.text(alphabet=st.characters(blacklist_characters="\r\n", codec="utf-8")), st.data())
def test_how_bytes_arrive_does_not_matter(text: str, data: st.DataObject) -> None:
    """Any way of cutting a stream gives the same lines, characters of several bytes included."""
    stream = "\n".join(["first", text, "", "end"]).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    splitter = LineSplitter()
    lines = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        lines += splitter.feed(stream[start:end])

    assert [*lines, *splitter.rest()] == ["first", text, "", "end"]


def test_a_long_line_becomes_several() -> None:
    """Nothing is lost, and no line is longer than a log event of CloudWatch may be."""
    splitter = LineSplitter()
    lines = []
    for _ in range(50):
        lines += splitter.feed(b"x" * 65_536)
    lines += splitter.feed(b"\nshort\n" + b"y" * (MAX_LINE_BYTES * 2) + b"\n")

    assert {len(line) <= MAX_LINE_BYTES for line in lines} == {True}
    joined = "".join(lines)
    assert (joined.count("x"), joined.count("y"), "short" in lines) == (50 * 65_536, MAX_LINE_BYTES * 2, True)


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    """A function may print anything."""
    assert LineSplitter().feed(b"a\xffb\r\n") == ["a\ufffdb"]


def test_returns_within_a_line_are_lines_of_one_event() -> None:
    """Lambda's own client puts the lines of a traceback together with them."""
    assert LineSplitter().feed(b"[ERROR]\rTraceback\r  File\n") == ["[ERROR]\nTraceback\n  File"]


def test_draining_reads_what_is_there() -> None:
    """What was written before is read without waiting, a last line without an end when it is closed."""

    async def main() -> None:
        lines: list[str] = []
        output = Output(lines.append)
        os.write(output.write_fd, b"one\ntwo\nthr")
        output.drain()
        assert lines == ["one", "two"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(output.read)
            await trio.testing.wait_all_tasks_blocked()
            os.write(output.write_fd, b"ee\nfo")
            output.drain()
            output.close_writing()
        output.close()
        output.close()
        assert lines == ["one", "two", "three", "fo"]

    trio.run(main)
