"""What stands around an operation that runs inside a durable deadline, or on the way to a saga that was cut off.

*Deadlines.* An operation of the deadline's own body is watched by the deadline itself. Further inside, in a child
context or an item, an operation that was through in time is let pass, so work that was in time goes on. One that
was not, or that would begin now, is held: the actor rests, and the deadline looks whether anything inside can
still go on. If nothing can, it cuts.

*Sagas.* See ``unwinding``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio._runtime.durable_deadline import DurableDeadline
    from durable_trio._runtime.node import ContextNode
    from durable_trio._runtime.operation import Operation

T = TypeVar("T")


async def run_guarded(
    operation: Operation[object], node: ContextNode, execute: Callable[[], Awaitable[T]]
) -> T:
    """Run *operation*, which *node*'s body awaits, by calling *execute*."""
    unwinding = operation.invocation.unwinding
    if unwinding is None:
        return await _run_in_time(operation, node.deadlines, execute)
    with unwinding.protecting(operation):
        return await _run_in_time(operation, node.deadlines, execute)


async def _run_in_time(
    operation: Operation[object], deadlines: tuple[DurableDeadline, ...], execute: Callable[[], Awaitable[T]]
) -> T:
    for deadline in deadlines:
        deadline.open.add(operation)
    try:
        await _hold_if_late(operation, deadlines)
        try:
            value = await execute()
        except Exception:
            await _hold_if_late(operation, deadlines, has_ended=True)
            raise
        await _hold_if_late(operation, deadlines, has_ended=True)
        return value
    finally:
        for deadline in deadlines:
            deadline.open.discard(operation)
            deadline.look_again()


async def _hold_if_late(
    operation: Operation[object], deadlines: tuple[DurableDeadline, ...], *, has_ended: bool = False
) -> None:
    """Rest for good, until cancelled, if the operation has not been through in time."""
    if not operation.is_timed:
        return
    for deadline in deadlines:
        if deadline.cut is not None:
            continue  # once it has cut, cancellation does the rest
        if has_ended and deadline.is_over and not operation.is_ending:
            await operation.invocation.writer.flush()  # in OPTIMISTIC mode its end may be on its way
        if deadline.is_late(operation):
            deadline.look_again()
            await operation.invocation.supervisor.rest(f"{deadline.id}-late")
