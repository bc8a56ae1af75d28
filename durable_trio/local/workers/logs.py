"""What workers print, kept with the execution it belongs to.

Lines arrive by a plain call, which may come in the middle of anything, and are stored by a task, many in one
transaction. A function that prints faster than the file can take it loses lines: it must not slow the service
down, nor fill the memory.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from durable_trio.local.errors import ResourceNotFound, ServiceFailure

if TYPE_CHECKING:
    from durable_trio.local import LocalService
    from durable_trio.local.logs import LogLine

_MAX_WAITING_LINES: Final = 20_000
_LINES_AT_A_TIME: Final = 1_000

logger = logging.getLogger("durable_trio.local")


@dataclass(frozen=True, slots=True)
class _Entry:
    arn: str
    line: LogLine


class LogKeeper:
    """Stores lines in *service*. ``run`` has to run."""

    def __init__(self, service: LocalService) -> None:
        self._service = service
        self._send, self._receive = trio.open_memory_channel[_Entry](_MAX_WAITING_LINES)
        self._lost = 0

    def __repr__(self) -> str:
        waiting = self._send.statistics().current_buffer_used
        return f"<LogKeeper {waiting} lines waiting, {self._lost} lost>"

    def keep(self, arn: str, line: LogLine) -> None:
        """Have *line* stored with the execution *arn*; lose it if too many wait already."""
        try:
            self._send.send_nowait(_Entry(arn, line))
        except trio.WouldBlock:
            self._lost += 1

    async def run(self) -> None:
        """Store lines until cancelled; those that still wait are stored before that takes effect."""
        try:
            while True:
                await self._store([await self._receive.receive(), *self._more()])
        finally:
            with trio.CancelScope(shield=True):
                while rest := self._more():
                    await self._store(rest)

    def _more(self) -> list[_Entry]:
        entries: list[_Entry] = []
        while len(entries) < _LINES_AT_A_TIME:
            try:
                entries.append(self._receive.receive_nowait())
            except trio.WouldBlock:
                break
        return entries

    async def _store(self, entries: list[_Entry]) -> None:
        lines: dict[str, list[LogLine]] = {}
        for entry in entries:
            lines.setdefault(entry.arn, []).append(entry.line)
        for arn, of_one in lines.items():
            try:
                await self._service.append_log_lines(arn, of_one)
            except ResourceNotFound:
                continue  # deleted meanwhile, and its log with it
            except ServiceFailure as failure:
                logger.warning("%d lines of %s could not be kept: %s", len(of_one), arn, failure)
        if self._lost:
            logger.warning("%d lines were printed faster than they could be kept", self._lost)
            self._lost = 0
