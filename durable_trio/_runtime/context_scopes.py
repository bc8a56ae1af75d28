"""``move_on_after`` and its kin, ``shield``, ``open_nursery``, ``saga``: the inline constructs of ``DurableContext``.

Their modules are imported when they are first used: importing the SDK is part of every cold start.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from durable_trio._protocol import limits
from durable_trio._protocol.operation import OperationType, SubType
from durable_trio._runtime.context_base import ContextBase
from durable_trio.config import whole_seconds
from durable_trio.exceptions import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio._protocol.replay import Identity
    from durable_trio._runtime.durable_deadline import DurableDeadline, MoveOnDeadline
    from durable_trio._runtime.nursery import DurableNursery
    from durable_trio._runtime.saga import Saga
    from durable_trio._runtime.shield import Shield
    from durable_trio.config import AnyDuration


_Limit: TypeAlias = "tuple[Identity, Callable[[], int], int | None]"
"""What a deadline is, in how many seconds from its start it ends, and at which instant, if that was given."""


class ScopeMethods(ContextBase):
    """Blocks for ``async with`` that run durable code of this context."""

    __slots__ = ()

    def move_on_after(self, duration: AnyDuration, *, name: str | None = None) -> MoveOnDeadline:
        """Limit the time of an ``async with`` block, across suspensions and invocations.

        When the time is over, the durable operation that the block awaits is cancelled, and the code after the
        block goes on; ``timed_out`` of the value of ``as`` tells. What is not a durable operation is not
        interrupted. A block that gets through is in time, however late that is seen.

        Args:
            duration: 1 second to 366 days, from when the block is entered; fractions are rounded up.
            name: 1 to 256 printable ASCII characters; none by default.

        Raises (at once):
            TypeError: *duration* is a bare number.
            ValidationError: an argument is out of range.
        """
        from durable_trio._runtime.durable_deadline import MoveOnDeadline

        return MoveOnDeadline(self, *self._after(duration, name))

    def fail_after(self, duration: AnyDuration, *, name: str | None = None) -> DurableDeadline:
        """Limit the time of an ``async with`` block as ``move_on_after`` does, and raise if it was not enough.

        Raises (at the end of the block):
            DurableTimeoutError: the time was over before the block was through; also a ``trio.TooSlowError``.
        """
        from durable_trio._runtime.durable_deadline import DurableDeadline

        identity, seconds, at = self._after(duration, name)
        return DurableDeadline(
            self, identity, seconds, at, error=f"the durable deadline of {seconds():,} s has passed"
        )

    def move_on_at(self, deadline: datetime, *, name: str | None = None) -> MoveOnDeadline:
        """Limit an ``async with`` block to end by *deadline*, otherwise as ``move_on_after``.

        Args:
            deadline: an aware datetime, at most 366 days ahead; if it is past, the first operation of the block
                that is not recorded as finished by then is cut. It has to come out the same on replay.
            name: 1 to 256 printable ASCII characters; none by default.

        Raises (at once):
            TypeError: *deadline* is no datetime.
            ValidationError: *deadline* has no time zone.
        """
        from durable_trio._runtime.durable_deadline import MoveOnDeadline

        return MoveOnDeadline(self, *self._at(deadline, name))

    def fail_at(self, deadline: datetime, *, name: str | None = None) -> DurableDeadline:
        """Limit an ``async with`` block as ``move_on_at`` does, and raise if it was not through by then.

        Raises (at the end of the block):
            DurableTimeoutError: the block was not through; also a ``trio.TooSlowError``.
        """
        from durable_trio._runtime.durable_deadline import DurableDeadline

        limit = self._at(deadline, name)
        error = f"the durable deadline at {deadline.isoformat()} has passed"
        return DurableDeadline(self, *limit, error=error)

    def _after(self, duration: AnyDuration, name: str | None) -> _Limit:
        self._node.check_use("set a deadline")
        seconds = whole_seconds(
            "duration", duration, at_least=limits.MIN_DELAY_SECONDS, at_most=limits.MAX_DELAY_SECONDS
        )
        return self._identity(OperationType.CONTEXT, SubType.DEADLINE, name), lambda: seconds, None

    def _at(self, deadline: datetime, name: str | None) -> _Limit:
        self._node.check_use("set a deadline")
        if not isinstance(deadline, datetime):
            raise TypeError(f"deadline must be a datetime.datetime, not {deadline!r}")
        if deadline.tzinfo is None or deadline.utcoffset() is None:
            raise ValidationError(f"deadline must have a time zone, for example UTC: {deadline!r}")
        at = math.floor(deadline.timestamp() * 1000)
        clock = self._node.invocation.clock

        def seconds() -> int:
            left = math.ceil((at - clock.now()) / 1000)
            if left > limits.MAX_DELAY_SECONDS:
                raise ValidationError(f"deadline must be at most 366 days ahead, not {deadline!r}")
            return max(limits.MIN_DELAY_SECONDS, left)

        return self._identity(OperationType.CONTEXT, SubType.DEADLINE, name), seconds, at

    def open_nursery(self, *, name: str | None = None) -> DurableNursery:
        """Run children beside an ``async with`` block; the block ends when they all have.

        ``nursery.start_soon(fn, *args)`` starts ``fn(child_ctx, *args)``; ``await handle`` in the block, or
        ``handle.value`` after it, gives its value. A failure cancels the other children and cuts the block.

        Args:
            name: 1 to 256 printable ASCII characters; none by default.

        Raises (at the end of the block):
            ExceptionGroup: of the errors of children that failed, and of the block itself.
        """
        self._node.check_use("open a nursery")
        from durable_trio._runtime.nursery import DurableNursery

        return DurableNursery(self, self._identity(OperationType.CONTEXT, SubType.NURSERY, name))

    def saga(self, *, name: str | None = None) -> Saga:
        """Undo what an ``async with`` block did if it fails, or is cut by a durable deadline or from outside.

        ``await saga.step(fn, *args, compensate=undo)`` runs a step; if the block fails later, ``undo(child_ctx, result)``
        runs as a child context. The last step is undone first. A compensation that fails does not keep the
        others from running. Then the block's error goes on.

        Args:
            name: 1 to 256 printable ASCII characters; none by default.

        Raises (at the end of the block):
            CompensationError: compensations failed; raised from the block's error.
        """
        self._node.check_use("open a saga")
        from durable_trio._runtime.saga import Saga

        return Saga(self, self._identity(OperationType.CONTEXT, SubType.SAGA, name))

    def shield(self) -> Shield:
        """Leave durable clean-up in an ``async with`` block alone when a durable deadline or a nursery cuts.

        Operations in it run although the code around was cut off. A suspension goes through: the block runs
        again when the execution resumes.
        """
        self._node.check_use("open a shield")
        from durable_trio._runtime.shield import Shield, shield_identity

        return Shield(self, shield_identity(self))
