"""Standing beside the body of a step: being told of each time that it blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator


class Watched:
    """Awaits something and tells of each time that it blocks."""

    __slots__ = ("_awaitable", "_blocks")

    def __init__(self, awaitable: Awaitable[Any], blocks: Callable[[], None]) -> None:
        self._awaitable = awaitable
        self._blocks = blocks

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self._awaitable.__await__()
        send: Any = inner.send
        value: Any = None
        while True:
            try:
                trap = send(value)
            except StopIteration as end:
                return end.value
            self._blocks()
            try:
                value = yield trap
                send = inner.send
            except BaseException as error:  # noqa: BLE001  # Trio throws into the task: passed on, all of it
                value, send = error, inner.throw
