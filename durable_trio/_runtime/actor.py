"""Contexts as actors: each runs its body in a task of its own, counted by its parent.

A parent counts an actor before it starts it and joins it; the actor's outcome is kept as a value by what it
runs, so that no exception of the user's is ever wrapped in a group by a nursery of ours. Only what is not an
``Exception`` (Trio's ``Cancelled``, ``KeyboardInterrupt``) leaves through the nursery.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import trio

from durable_trio._runtime.node import current_node
from durable_trio._runtime.supervisor import Join

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio._runtime.node import ContextNode
    from durable_trio._runtime.supervisor import Supervisor

T = TypeVar("T")


class BodyOf:
    """Around the body of *node*: the calling task is the context's owner in the block, and the context ends with it."""

    # Every parked branch holds one: an object is less than a coroutine and its frame.
    __slots__ = ("_node", "_token")

    def __init__(self, node: ContextNode) -> None:
        self._node = node

    def __enter__(self) -> None:
        self._node.owner = trio.lowlevel.current_task()
        self._token = current_node.set(self._node)

    def __exit__(self, *_: object) -> None:
        current_node.reset(self._token)
        self._node.is_ended = True
        self._node.owner = None


async def run_in_actor(supervisor: Supervisor, run: Callable[[], Awaitable[T]]) -> T:
    """Run *run* in a task of its own, join it, and return its value or raise its ``Exception`` as it is."""
    values: list[T] = []
    errors: list[Exception] = []

    async def actor() -> None:
        try:
            values.append(await run())
        except Exception as error:  # noqa: BLE001  # carried over to the parent's task
            errors.append(error)

    join = Join(supervisor)
    join.child_started()
    with join:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_counted, join, actor)
    if errors:
        raise errors[0]
    return values[0]


async def run_counted(join: Join, actor: Callable[[], Awaitable[None]]) -> None:
    """Run one actor that its parent has counted."""
    try:
        await actor()
    finally:
        join.child_ended()
