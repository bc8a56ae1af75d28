"""Callbacks as handles: taken before the run or during it, answered at any virtual time.

A handle is a name and waits for its callback: whoever answers by it says what is to be answered *when the callback has
been created*, at once or some virtual time later. The answer goes to the service as anybody's would, and what the
service says to it is part of the answer: too late, answered already, too big.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import trio

from durable_trio._protocol.operation import ErrorObject
from durable_trio.exceptions import ValidationError
from durable_trio.serdes import SerdesContext, plain_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from datetime import timedelta

    from durable_trio.duration import Duration
    from durable_trio.local import LocalServiceError
    from durable_trio.testing._callback_desk import CallbackDesk, SeenCallback

__all__ = ["CallbackAnswer", "CallbackHandle", "PlannedAnswer"]


@dataclass(frozen=True, slots=True)
class CallbackAnswer:
    """An answer that was planned, and what became of it.

    Attributes:
        callback: the name it was planned for.
        action: ``succeed``, ``fail`` or ``heartbeat``.
        payload: the text of the result, if it has one.
        error: what it fails with, if it does.
        execution_arn, callback_id, at: where it went and when (epoch milliseconds); None as long as there is no
            such callback, or its time has not come.
        refusal: the service's refusal (``CallbackTimeout``: too late or answered already); None if it took it.
    """

    callback: str
    action: Literal["succeed", "fail", "heartbeat"]
    payload: str | None = None
    error: ErrorObject | None = None
    execution_arn: str | None = None
    callback_id: str | None = None
    at: int | None = None
    refusal: LocalServiceError | None = None

    def __str__(self) -> str:
        name = f"callback {self.callback!r}, {self.action}"
        if self.at is None:
            return f"{name}: not given"
        return name if self.refusal is None else f"{name}: {type(self.refusal).__name__}: {self.refusal}"


class PlannedAnswer:
    """An answer on its way to a callback.

    Attributes:
        answer: what is known of it so far.
    """

    def __init__(self, answer: CallbackAnswer, driving: Callable[[], AbstractContextManager[None]]) -> None:
        self.answer = answer
        self._driving = driving
        self._over = trio.Event()

    def __repr__(self) -> str:
        return f"<PlannedAnswer {self.answer}>"

    async def given(self) -> CallbackAnswer:
        """Return once the service has taken the answer; virtual time moves on in the meantime.

        Raises:
            LocalServiceError: the service refused it (``CallbackTimeout``: too late, or answered already).
        """
        with self._driving():
            await self._over.wait()
        if self.answer.refusal is not None:
            raise self.answer.refusal
        return self.answer

    def settle(self, answer: CallbackAnswer) -> None:
        """Note what has become of it."""
        self.answer = answer
        self._over.set()


class CallbackHandle:
    """One callback by its name, whether it exists yet or not. Made by ``DurableRunner.callback``."""

    def __init__(self, desk: CallbackDesk, name: str | None, index: int, execution_arn: str | None) -> None:
        if isinstance(index, bool) or not isinstance(index, int) or index < 0:
            raise ValidationError(f"index must be a whole number from 0, not {index!r}")
        self._desk = desk
        self.name = name
        self.index = index
        self._execution_arn = execution_arn

    def __repr__(self) -> str:
        return f"<CallbackHandle {self.label!r}, {'created' if self.callback_id else 'not created'}>"

    @property
    def label(self) -> str:
        """What to call it in messages."""
        name = self.name if self.name is not None else "(any)"
        return f"{name}[{self.index}]" if self.index else name

    @property
    def callback_id(self) -> str | None:
        """The id that the handler got; None as long as it has not been created."""
        seen = self.find()
        return None if seen is None else seen.callback_id

    async def created(self) -> str:
        """Return the callback's id once it has been created; virtual time moves on in the meantime.

        Raises:
            AssertionError: every execution has ended without it.
        """
        return (await self._desk.wait_for(self)).callback_id

    def succeed(self, value: Any = None, *, after: Duration | timedelta | None = None) -> PlannedAnswer:
        """Answer with a result. Text is sent as it is, None is no result, anything else is sent as JSON.

        Args:
            value: the result. A handler reads callbacks as text, unless it gives ``serdes=`` or ``result_type=``:
                then text has to be what its serializer reads (for JSON, ``json.dumps("yes")``).
            after: how long after its creation, or after now if it exists already; by default at once.

        Raises:
            SerDesError: *value* is no JSON.
            ValidationError: *after* is negative.
        """
        payload = value
        if value is not None and not isinstance(value, str):
            payload = plain_json.serialize(value, SerdesContext("", "", self.name))
        return self._desk.plan(self, CallbackAnswer(self.label, "succeed", payload=payload), after)

    def fail(
        self,
        error: ErrorObject | BaseException | str = "the callback failed",
        *,
        after: Duration | timedelta | None = None,
    ) -> PlannedAnswer:
        """Answer with a failure: an error, or its message. *after* as in ``succeed``.

        Raises:
            ValidationError: *after* is negative.
        """
        return self._desk.plan(self, CallbackAnswer(self.label, "fail", error=error_object(error)), after)

    def heartbeat(self, *, after: Duration | timedelta | None = None) -> PlannedAnswer:
        """Start its heartbeat time-out over. *after* as in ``succeed``.

        Raises:
            ValidationError: *after* is negative.
        """
        return self._desk.plan(self, CallbackAnswer(self.label, "heartbeat"), after)

    def find(self) -> SeenCallback | None:
        """Return what is known of the callback, if it exists."""
        found = [
            seen
            for seen in self._desk.seen
            if (self.name is None or self.name in seen.names)
            and (self._execution_arn is None or self._execution_arn == seen.execution_arn)
        ]
        return found[self.index] if self.index < len(found) else None


def error_object(error: ErrorObject | BaseException | str) -> ErrorObject:
    """Return *error* as it is recorded: an exception by its type's name and its message."""
    if isinstance(error, ErrorObject):
        return error
    if isinstance(error, BaseException):
        return ErrorObject(message=str(error), type=type(error).__name__)
    return ErrorObject(message=error)
