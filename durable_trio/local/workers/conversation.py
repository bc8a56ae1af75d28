"""What a worker and the service say to each other, as Lambda's Runtime API has it.

A worker asks for work, is given one invocation, answers it, and asks again. It never has two at a time, and every
answer names the invocation it is for. Whatever does not fit is refused, and changes nothing::

    STARTING --next--> IDLE --given an invocation--> BUSY --response or error--> ANSWERED --next--> IDLE
    STARTING --init error--> ENDED          any of them --the process ends--> ENDED

The pool gives work to IDLE workers only: one that has answered and not yet asked again may be about to exit.

Source: "Using the Lambda runtime API", https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio._protocol.operation import ErrorObject


class Phase(Enum):
    """Where a conversation stands."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    ANSWERED = "answered"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What a worker is told about an invocation.

    Attributes:
        request_id: names the invocation; the answer has to repeat it.
        payload: the event, JSON text.
        deadline_at: when it will be cut off, epoch milliseconds of the *system's* clock: the worker's own.
        function_arn: with its qualifier.
        tenant_id, client_context, trace_id: as the caller gave them.
        log_arn: the execution that its output belongs to.
    """

    request_id: str
    payload: str
    deadline_at: int
    function_arn: str
    tenant_id: str | None = None
    client_context: str | None = None
    trace_id: str | None = None
    log_arn: str | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """The function returned: its value as JSON text."""

    payload: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The function raised, could not be imported, or its process ended."""

    error: ErrorObject


Outcome: TypeAlias = Answered | Failed


class OutOfTurn(Exception):  # noqa: N818  # reads as what happened, like the Runtime API's own word
    """The worker said something that does not fit. *kind* is the Runtime API's error type."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class Conversation:
    """The service's side of one worker's conversation.

    Args:
        on_idle: called whenever the worker asks for work.
        on_answer: called with every answer, before anybody hears of it.
    """

    def __init__(self, *, on_idle: Callable[[], None], on_answer: Callable[[], None]) -> None:
        self.phase = Phase.STARTING
        self.started = trio.Event()
        """Set once the worker has asked for work for the first time, or has ended."""
        self.ending: ErrorObject | None = None
        """Why the conversation is over, once it is."""
        self.invocation: Invocation | None = None
        """The latest that the worker was given."""
        self._on_idle = on_idle
        self._on_answer = on_answer
        self._given = trio.Event()
        self._over = trio.Event()
        self._outcome: Outcome | None = None

    def __repr__(self) -> str:
        doing = "" if self.phase is not Phase.BUSY or self.invocation is None else self.invocation.request_id
        return f"<Conversation {self.phase.value}{doing and ' with '}{doing}>"

    # --- what the worker says ----------------------------------------------------------------------------

    async def next(self) -> Invocation:
        """Return the worker's next invocation, as soon as there is one.

        Raises:
            OutOfTurn: it asked already, has not answered the last one, or its conversation is over.
        """
        if self.phase not in {Phase.STARTING, Phase.ANSWERED}:
            raise OutOfTurn(f"next is not for a worker that is {self.phase.value}", "InvalidStateTransition")
        self.phase = Phase.IDLE
        self._given = trio.Event()
        self.started.set()
        self._on_idle()
        await self._given.wait()
        if self.phase is not Phase.BUSY or self.invocation is None:
            raise OutOfTurn("the worker is being ended", "InvalidStateTransition")
        return self.invocation

    def answer(self, request_id: str, outcome: Outcome) -> None:
        """Take the worker's answer to the invocation *request_id*.

        Raises:
            OutOfTurn: it was given another one, or has answered already.
        """
        if self.invocation is None or request_id != self.invocation.request_id:
            raise OutOfTurn(f"{request_id!r} is not the invocation of this worker", "InvalidRequestID")
        if self.phase is not Phase.BUSY:
            raise OutOfTurn(f"{request_id!r} has been answered already", "InvalidStateTransition")
        self.phase = Phase.ANSWERED
        self._close(outcome)

    def fail_init(self, error: ErrorObject) -> None:
        """Take notice that the worker could not load its function.

        Raises:
            OutOfTurn: it has asked for work before.
        """
        if self.phase is not Phase.STARTING:
            raise OutOfTurn("a worker that has asked for work has started", "InvalidStateTransition")
        self.end(error)

    # --- what the pool does ------------------------------------------------------------------------------

    async def give(self, invocation: Invocation) -> Outcome:
        """Give an idle worker an invocation, and return what became of it.

        Cancelling this says nothing to the worker: whoever does so has to end its process.
        """
        if self.ending is not None:
            return Failed(self.ending)
        assert self.phase is Phase.IDLE, self  # noqa: S101  # the pool gives work to nobody else
        self.phase = Phase.BUSY
        self.invocation = invocation
        self._outcome = None
        self._over = trio.Event()
        self._given.set()
        await self._over.wait()
        assert self._outcome is not None  # noqa: S101  # set together with the event
        return self._outcome

    def end(self, reason: ErrorObject) -> None:
        """Take notice that the worker is gone; an invocation that it had has failed for *reason*."""
        if self.phase is Phase.ENDED:
            return
        was_busy = self.phase is Phase.BUSY
        self.phase = Phase.ENDED
        self.ending = reason
        if was_busy:
            self._close(Failed(reason))
        self.started.set()
        self._given.set()

    def _close(self, outcome: Outcome) -> None:
        self._on_answer()
        self._outcome = outcome
        self._over.set()
