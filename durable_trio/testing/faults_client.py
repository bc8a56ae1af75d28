"""A run in which things go wrong: the faults of a ``FaultSource``, brought about."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import trio

from durable_trio._protocol.invocation_rules import NOTHING_PENDING
from durable_trio.exceptions import (
    CheckpointError,
    GetStateError,
    ServiceError,
    ThrottlingError,
)
from durable_trio.local import LocalServiceError, LocalSettings, RetryPolicy
from durable_trio.testing._driver import PassingClient
from durable_trio.testing.crashes_process import Process
from durable_trio.testing.crashes_state import ServiceState
from durable_trio.testing.faults import Fault, FaultKind, FaultSource
from durable_trio.testing.simulation_rules import ExecutionRules
from durable_trio.testing.simulation_world import Answer, Interference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durable_trio.clients import CheckpointResponse, StatePage
    from durable_trio.local import LocalService
    from durable_trio.testing._driver import CallNext, Invocation
    from durable_trio.testing.simulation_rules import InvocationRules

_MOST_FAILURES = 100
"""How many more invocations in a row may fail: more than there are faults in a run."""

SECOND_ANSWER = '"a second answer, which must not count"'


class FaultyRun(Interference):
    """Brings the faults of *source* about. *max_calls*: after how many calls a run is given up."""

    def __init__(self, source: FaultSource, *, max_calls: int) -> None:
        super().__init__()
        self._source = source
        self._max_calls = max_calls
        self._rules = ExecutionRules()
        self._counts: dict[str, int] = {}
        self._has_small_pages = False
        self._state: ServiceState
        self._service: LocalService
        self._nursery: trio.Nursery

    def settings(self, settings: LocalSettings) -> LocalSettings:
        """Let the service be patient with failed invocations, and maybe page its state finely."""
        policy = settings.retry_policy
        patient = RetryPolicy(
            max_failures=policy.max_failures + _MOST_FAILURES,
            max_invalid_pendings=policy.max_invalid_pendings,
            first_delay_seconds=policy.first_delay_seconds,
            multiplier=policy.multiplier,
            max_delay_seconds=policy.max_delay_seconds,
        )
        self._has_small_pages = bool(self.befalling("run"))
        pages = 1 if self._has_small_pages else settings.page_operations
        return replace(settings, retry_policy=patient, page_operations=pages)

    def begin(self, service: LocalService, nursery: trio.Nursery) -> None:
        """Start following the service's state."""
        self._state = ServiceState(service)
        self._service, self._nursery = service, nursery

    def ended(self) -> None:
        """Look back on the run, at its end: was PENDING answered where nothing was pending?"""
        self._state.value()
        if NOTHING_PENDING in self._state.failed_invocations:
            self.problems.append("an invocation answered PENDING although nothing was pending")
        self._state.close()

    @property
    def problems(self) -> list[str]:
        """What went wrong that no fault explains."""
        return self._rules.problems

    @property
    def calls(self) -> int:
        """How many checkpoint calls there were."""
        return self._counts.get("call", 0)

    def befalling(self, sort: str) -> dict[FaultKind, Fault]:
        """Count one more of a sort, and return what befalls it, by kind."""
        self._counts[sort] = number = self._counts.get(sort, 0) + 1
        if number > self._max_calls:
            self.give_up.cancel("it does not end")
        return {fault.kind: fault for fault in self._source.befalling(sort, number)}

    def deliveries(self, name: str, answer: Answer) -> Sequence[Answer]:
        """Return one answer, maybe late, and maybe another one that must not count."""
        faults = self.befalling("callback")
        late = faults.get(FaultKind.LATE_CALLBACK)
        first = replace(answer, after_seconds=answer.after_seconds + (late.seconds if late else 0.0))
        second = faults.get(FaultKind.DUPLICATE_CALLBACK)
        if second is None:
            return [first]
        # A hair later at least: which of two answers at the same instant comes first is up to chance.
        at = first.after_seconds + max(second.seconds, 0.001)
        return [first, Answer(SECOND_ANSWER, None, at)]

    async def pause(self, arn: str, seconds: float) -> None:
        """Pause an execution for a while: its next checkpoint is answered without a token."""
        # Not in the caller's task: it may be killed at any moment, and nobody would resume the execution.
        is_paused = trio.Event()
        self._nursery.start_soon(self._pause_and_resume, arn, seconds, is_paused)
        await is_paused.wait()

    async def _pause_and_resume(self, arn: str, seconds: float, is_paused: trio.Event) -> None:
        try:
            await self._service.pause_execution(arn)
        except LocalServiceError:
            return  # it is paused already, or at its end
        finally:
            is_paused.set()
        await trio.sleep(seconds)
        try:
            await self._service.resume_execution(arn)
        except LocalServiceError:
            return  # it has ended

    async def interpose(self, invocation: Invocation, call_next: CallNext) -> Any:
        """Run an invocation with a faulty client, with little time, or only for a while."""
        self._state.follow(invocation.execution_arn)
        faults = self.befalling("invocation")
        process = Process()
        short = faults.get(FaultKind.SHORT_TIME)
        context = _ShortTime(invocation.lambda_context, short.seconds) if short else invocation.lambda_context
        inner = replace(
            invocation,
            lambda_context=context,
            client=_FaultyClient(
                invocation.client,
                self,
                process,
                self._rules.for_invocation(invocation.execution_arn),
                has_small_pages=self._has_small_pages,
            ),
        )
        ends = [
            fault.seconds for kind, fault in faults.items() if kind in (FaultKind.CRASH, FaultKind.SHORT_TIME)
        ]

        async def call() -> Any:
            async with trio.open_nursery() as nursery:
                if ends:
                    nursery.start_soon(_kill_after, process, min(ends))
                answer = await call_next(inner)
                nursery.cancel_scope.cancel()
            return answer

        try:
            return await process.run(call)
        except ExceptionGroup as group:
            # Only one task of that nursery can raise; the group is ours, not the handler's.
            raise group.exceptions[0] from None


async def _kill_after(process: Process, seconds: float) -> None:
    await trio.sleep(seconds)
    process.kill()


class _ShortTime:
    """A Lambda context that says there is less time left."""

    def __init__(self, inner: Any, seconds: float) -> None:
        self._inner = inner
        self._ends = trio.current_time() + seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def get_remaining_time_in_millis(self) -> int:
        left = max(0, int((self._ends - trio.current_time()) * 1000))
        return min(left, int(self._inner.get_remaining_time_in_millis()))


class _FaultyClient(PassingClient):
    """Makes the calls of one invocation go wrong."""

    def __init__(
        self, inner: Any, run: FaultyRun, process: Process, rules: InvocationRules, *, has_small_pages: bool
    ) -> None:
        super().__init__(inner)
        self._rules = rules
        self._run = run
        self._process = process
        self._has_small_pages = has_small_pages
        self._spent_tokens: list[str] = []
        self._repeat_later: dict[str, Any] | None = None

    async def checkpoint(self, **request: Any) -> CheckpointResponse:
        await self._process.gate()
        with self._rules.call(request["checkpoint_token"], request["updates"]):
            return await self._call(request)

    async def _call(self, request: dict[str, Any]) -> CheckpointResponse:
        faults = self._run.befalling("call")
        if delay := faults.get(FaultKind.DELAY):
            await trio.sleep(delay.seconds)
        _refuse_before(faults)
        if withheld := faults.get(FaultKind.WITHHELD_TOKEN):
            await self._run.pause(request["durable_execution_arn"], withheld.seconds)
        if FaultKind.STALE_TOKEN in faults and self._spent_tokens:
            request = {**request, "checkpoint_token": self._spent_tokens[-1], "client_token": "stale"}
            await self.inner.checkpoint(**request)
            self._run.problems.append("the service took a checkpoint token that was spent")
        response = await self.inner.checkpoint(**request)
        self._spent_tokens.append(request["checkpoint_token"])
        await self._repeat(faults, request)
        await self._process.gate()
        if FaultKind.LOST_FOR_GOOD in faults:
            raise CheckpointError("the answer was lost", is_retryable=True)
        if FaultKind.LOST_ANSWER in faults or FaultKind.DUPLICATE in faults:
            response = await self._asked_again(request)
        return response

    async def get_state(self, **request: Any) -> StatePage:
        await self._process.gate()
        if FaultKind.FAILED_READ in self._run.befalling("read"):
            raise GetStateError("the state could not be read", is_retryable=True)
        if self._has_small_pages:
            request = {**request, "max_items": 1}
        return await self.inner.get_state(**request)

    async def _asked_again(self, request: dict[str, Any]) -> CheckpointResponse:
        """Make a call that has been made, with the same tokens: it must be answered, and not done twice."""
        try:
            return await self.inner.checkpoint(**request)
        except ServiceError as error:
            self._run.problems.append(f"a repeated checkpoint was refused: {error}")
            raise

    async def _repeat(self, faults: dict[FaultKind, Fault], request: dict[str, Any]) -> None:
        """Deliver an earlier request again, now that another one has been stored."""
        late, self._repeat_later = self._repeat_later, None
        if late is not None:
            try:
                await self.inner.checkpoint(**late)
            except ServiceError:
                # Refused, as it should be; nobody waits for this answer.
                await trio.lowlevel.checkpoint()
        if FaultKind.LATE_DUPLICATE in faults:
            self._repeat_later = request


def _refuse_before(faults: dict[FaultKind, Fault]) -> None:
    if FaultKind.THROTTLING in faults:
        raise ThrottlingError("slow down", code="TooManyRequestsException")
    if FaultKind.SERVER_ERROR in faults:
        raise CheckpointError("the service is down", is_retryable=True, code="ServiceException")
