"""Contexts as actors: each runs its body in a task of its own, counted by its parent.

A parent counts an actor before it starts it and joins it; the actor's outcome is kept as a value by what it
runs, so that no exception of the user's is ever wrapped in a group by a nursery of ours. Only what is not an
``Exception`` (Trio's ``Cancelled``, ``KeyboardInterrupt``) leaves through the nursery.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from durable_trio._runtime.node import current_node
from durable_trio._runtime.supervisor import Join

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio._runtime.node import ContextNode
    from durable_trio._runtime.supervisor import Supervisor


async def run_context_here(node: ContextNode, body: Callable[[], Awaitable[Any]]) -> Any:
    """Run *body* as the body of *node* in the calling task, which becomes the context's owner."""
    node.owner = trio.lowlevel.current_task()
    token = current_node.set(node)
    try:
        return await body()
    finally:
        current_node.reset(token)
        node.is_ended = True
        node.owner = None


async def join_actors(supervisor: Supervisor, *actors: Callable[[], Awaitable[None]]) -> None:
    """Run each of *actors* in a task of its own, and return when all have ended.

    Their outcomes are their own business: an ``Exception`` that leaves an actor is a bug.
    """
    join = Join(supervisor)
    for _ in actors:
        join.child_started()
    with join:
        async with trio.open_nursery() as nursery:
            for actor in actors:
                nursery.start_soon(run_counted, join, actor)


async def run_counted(join: Join, actor: Callable[[], Awaitable[None]]) -> None:
    """Run one actor that its parent has counted."""
    try:
        await actor()
    finally:
        join.child_ended()
