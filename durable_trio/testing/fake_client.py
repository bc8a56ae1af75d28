"""A service in memory for unit tests of one invocation: no time, no timers, nothing moves unless the test says so.

``DurableRunner`` runs whole executions and is what most tests want. ``FakeServiceClient`` is for the rest: what does the
handler do in *this* state, and what when the service answers *that*. The test says what has been recorded so far
(``given_step``, ``given_wait``, ...), scripts the service (``errors``, ``withheld``, ...), runs one invocation, and looks
at what the handler asked to record::

    client = FakeServiceClient({"order": "o-1"})
    client.given_step("charge", result="receipt")
    answer = client.invoke_sync(handler)
    assert answer["Status"] == "PENDING"
    client.assert_recorded("charge")  # nothing: it was recorded before
    client.assert_recorded("cool-off", "START")

An action that is not allowed in an operation's status is refused, by the table that the real service obeys.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import trio

from durable_trio._protocol.envelope import InvocationInput, encode_invocation
from durable_trio._protocol.operation import (
    ExecutionDetails,
    OperationAction,
    OperationRecord,
    OperationStatus,
    OperationType,
    OperationUpdate,
)
from durable_trio.clients import CheckpointResponse, StatePage
from durable_trio.clock import Clock
from durable_trio.serdes import SerdesContext, plain_json
from durable_trio.testing._driver import target_of
from durable_trio.testing.fake_state import ARN, FakeState

if TYPE_CHECKING:
    from durable_trio.duration import Duration

__all__ = ["FakeLambdaContext", "FakeServiceClient"]


@dataclass(frozen=True, slots=True)
class FakeLambdaContext:
    """What Lambda tells a function about its invocation. *remaining_millis* stays what it is."""

    remaining_millis: int = 900_000
    aws_request_id: str = "fake-request"
    function_name: str = "fake"
    function_version: str = "$LATEST"
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:fake:$LATEST"
    memory_limit_in_mb: str = "128"

    def get_remaining_time_in_millis(self) -> int:
        """Return how many milliseconds are left."""
        return self.remaining_millis


class FakeServiceClient(FakeState):
    """A ``ServiceClient`` for one execution: it keeps what it is told, and moves nothing by itself.

    Args:
        event: the input of the execution; JSON.

    Attributes:
        calls: the updates of each checkpoint call.
        tokens, client_tokens: what each of them was made with; *read_tokens* for reads of further pages.
        most_in_flight: how many calls were in flight at once, at most.
        seconds: how long each call takes.
        withheld: numbers of calls (from 1) whose answer has no token: the invocation has to end.
        errors: what calls fail with, by number; what such a call asks for is not recorded.
        moved: operations that the next answer tells about, besides those that were sent.
        pages: further pages of the next answer.
        is_silent: answers do not repeat the operations that were sent.
    """

    def __init__(self, event: Any = None) -> None:
        super().__init__()
        self.event = event
        self.calls: list[tuple[OperationUpdate, ...]] = []
        self.tokens: list[str] = []
        self.client_tokens: list[str] = []
        self.read_tokens: list[str] = []
        self.most_in_flight = 0
        self.seconds = 0.0
        self.withheld: set[int] = set()
        self.errors: dict[int, Exception] = {}
        self.moved: list[OperationRecord] = []
        self.pages: list[list[OperationRecord]] = []
        self.is_silent = False
        self._clock: Clock | None = None
        self._in_flight = 0
        self._invocations = 0

    def __repr__(self) -> str:
        return f"<FakeServiceClient {len(self._operations)} operations, {len(self.calls)} calls>"

    @property
    def clock(self) -> Clock:
        """The time by which timers are kept: Trio's. Only inside a Trio run."""
        if self._clock is None:
            self._clock = Clock()
        return self._clock

    # --- running -------------------------------------------------------------------------------------------

    def envelope(self) -> dict[str, Any]:
        """Return the event of an invocation that begins in the state as it is."""
        text = plain_json.serialize(self.event, SerdesContext("", ARN))
        execution = OperationRecord(
            id=ARN.rpartition("/")[2],
            type=OperationType.EXECUTION,
            status=OperationStatus.STARTED,
            started_at=0,
            details=ExecutionDetails(text),
        )
        operations = (execution, *self._operations.values())
        return encode_invocation(InvocationInput(ARN, f"token-of-invocation-{self._invocations}", operations))

    async def invoke(self, handler: Any, *, remaining: Duration | None = None) -> dict[str, Any]:
        """Run one invocation of *handler* and return its answer. What it records stays for the next one.

        *remaining* is what the Lambda context says is left of its time; by default 15 minutes.

        Raises:
            Exception: the invocation failed, so that Lambda would retry it.
        """
        self._invocations += 1
        context = FakeLambdaContext()
        if remaining is not None:
            context = replace(context, remaining_millis=round(remaining.to_seconds() * 1000))
        answer: dict[str, Any] = await target_of(handler)(self.envelope(), context, client=self)
        return answer

    def invoke_sync(self, handler: Any, *, remaining: Duration | None = None) -> dict[str, Any]:
        """Do the same in a Trio run of its own, in virtual time."""
        from trio.testing import MockClock

        async def main() -> dict[str, Any]:
            return await self.invoke(handler, remaining=remaining)

        self._clock = None  # it belongs to the run
        return trio.run(main, clock=MockClock(autojump_threshold=0))

    # --- what was asked for --------------------------------------------------------------------------------

    @property
    def updates(self) -> list[OperationUpdate]:
        """Every update that was sent, in order."""
        return [update for call in self.calls for update in call]

    def recorded(self, name: str) -> list[OperationUpdate]:
        """Return the updates of the operations with this name (or subtype, for those without), in order."""
        return [update for update in self.updates if name == (update.name or update.sub_type)]

    def assert_recorded(self, name: str, *actions: OperationAction | str) -> list[OperationUpdate]:
        """Return the updates of *name*; there have to be exactly these actions, in this order.

        Raises:
            AssertionError: there are others; the message says what was sent in all.
        """
        found = self.recorded(name)
        if [str(update.action) for update in found] != [str(action) for action in actions]:
            sent = "\n".join(
                f"  {update.name or update.sub_type}: {update.action}" for update in self.updates
            )
            wanted = ", ".join(map(str, actions)) or "nothing"
            raise AssertionError(f"expected {wanted} for {name!r}; sent:\n{sent or '  (nothing)'}")
        return found

    # --- the service ---------------------------------------------------------------------------------------

    async def checkpoint(
        self, *, durable_execution_arn: str, checkpoint_token: str, updates: Any, client_token: str
    ) -> CheckpointResponse:
        """Record a call and answer it; see ``ServiceClient``.

        Raises:
            CheckpointError: an action is not allowed where its operation stands.
            Exception: as *errors* says.
        """
        self.calls.append(tuple(updates))
        self.tokens.append(checkpoint_token)
        self.client_tokens.append(client_token)
        number = len(self.calls)
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            await trio.sleep(self.seconds)
        finally:
            self._in_flight -= 1
        if number in self.errors:
            raise self.errors[number]
        now = self.clock.now()
        answered = [
            self.apply(update, now) for update in updates if update.type is not OperationType.EXECUTION
        ]
        told = [*([] if self.is_silent else answered), *self.moved]
        self.moved = []
        token = None if number in self.withheld else f"token-{number}"
        return CheckpointResponse(token, told, "page-0" if self.pages else "")

    async def get_state(
        self, *, durable_execution_arn: str, checkpoint_token: str, marker: str, max_items: int
    ) -> StatePage:
        """Answer with the page of *pages* that *marker* names; see ``ServiceClient``."""
        self.read_tokens.append(checkpoint_token)
        await trio.lowlevel.checkpoint()
        number = int(marker.removeprefix("page-"))
        following = f"page-{number + 1}" if number + 1 < len(self.pages) else ""
        return StatePage(self.pages[number], following)
