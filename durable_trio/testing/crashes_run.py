"""One run of a workflow under a crash plan, with every moment written down at which it could be killed.

A *moment* is a place where the explorer stands between the runtime and the world: around a checkpoint call, around
and inside the body of a step, and where an invocation has decided on its answer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from durable_trio._runtime.step_body import around_bodies
from durable_trio.testing._driver import PassingClient
from durable_trio.testing.crashes_bodies import Watched
from durable_trio.testing.crashes_moments import BodyEvent, Moment, Moments
from durable_trio.testing.crashes_points import MAX_BODY_POINTS, Crash, CrashPlan
from durable_trio.testing.crashes_process import Process
from durable_trio.testing.crashes_state import ServiceState
from durable_trio.testing.simulation_rules import ExecutionRules
from durable_trio.testing.simulation_world import Ending, Interference, Scenario

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

    import trio

    from durable_trio._protocol.operation import ErrorObject
    from durable_trio.clients import CheckpointResponse
    from durable_trio.local import LocalService
    from durable_trio.testing._driver import CallNext, Invocation
    from durable_trio.testing.crashes_effects import Note
    from durable_trio.testing.simulation_rules import InvocationRules


class CrashingRun(Interference):
    """Kills the process of an invocation at each crash of *plan*, and writes the moments down.

    *moments* is where they go; None if nobody asks. *max_calls*: after how many checkpoint calls or invocations a run is
    given up.
    """

    def __init__(
        self,
        scenario: Scenario,
        plan: CrashPlan,
        moments: Moments | None,
        *,
        max_calls: int,
    ) -> None:
        super().__init__()
        self.plan = plan
        self.moments = moments
        self.crashed_at: list[Moment] = []
        self.bodies: list[BodyEvent] = []
        self.ending: Ending | None = None
        self.effects: tuple[Note, ...] = ()
        self.failed_invocations: tuple[ErrorObject, ...] = ()
        self.rules = ExecutionRules()
        self._scenario = scenario
        self._max_calls = max_calls
        self._invocations = 0
        self.calls = 0
        self._started_bodies = 0
        self._answers = 0
        self._state: ServiceState

    def begin(self, service: LocalService, nursery: trio.Nursery) -> None:
        """Start following the service's state."""
        self._state = ServiceState(service)

    def ended(self, ending: Ending) -> CrashingRun:
        """Note how the run ended."""
        self.ending = ending
        log = self._scenario.effects
        self.effects = tuple(log.notes()) if log is not None else ()
        self._state.value()
        self.failed_invocations = tuple(self._state.failed_invocations)
        self._state.close()
        return self

    def forget(self) -> None:
        """Drop what is only needed to judge the run: an exploration keeps hundreds of them."""
        self.ending = None
        self.bodies.clear()
        del self._state  # it knows the service, and that knows everything

    # --- standing in between ------------------------------------------------------------------------------

    async def interpose(self, invocation: Invocation, call_next: CallNext) -> Any:
        """Run an invocation as a process, and maybe kill it."""
        self._state.follow(invocation.execution_arn)
        self._invocations += 1
        if self._invocations > self._max_calls:
            self.give_up.cancel("it does not end")
        process = Process()
        rules = self.rules.for_invocation(invocation.execution_arn)
        client = _WatchedClient(invocation.client, self, process, rules)

        async def call() -> Any:
            token = around_bodies.set(lambda *body: self._around(process, *body))
            try:
                answer = await call_next(replace(invocation, client=client))
            finally:
                around_bodies.reset(token)
            if not process.is_dead:
                self._answers += 1
                await self.reach(process, Crash.at_answer(self._answers), _status(answer))
            return answer

        return await process.run(call)

    async def checkpoint(
        self, process: Process, request: dict[str, Any], inner: Callable[..., Awaitable[Any]]
    ) -> Any:
        """Make a checkpoint call, if the process lives to make it."""
        self.calls += 1
        number = self.calls
        if number > self._max_calls:
            self.give_up.cancel("it does not end")
        await self.reach(process, Crash.before_call(number), request["updates"])
        response = await inner(**request)
        await self.reach(process, Crash.after_call(number), request["updates"])
        return response

    def _around(self, process: Process, operation: Any, attempt: int, call: Callable[..., Any]) -> Any:
        async def run_body(*args: Any) -> Any:
            await process.gate()
            self._started_bodies += 1
            number = self._started_bodies
            subject = f"{operation.title} (attempt {attempt})"
            await self.reach(process, Crash.before_body(number), subject)
            self._note_body(operation, attempt, is_end=False)
            try:
                value = await Watched(call(*args), _Yields(self, process, number, subject))
            except Exception:
                await self._end_body(process, operation, attempt, number, subject)
                raise
            await self._end_body(process, operation, attempt, number, subject)
            return value

        return run_body

    async def _end_body(
        self, process: Process, operation: Any, attempt: int, number: int, subject: str
    ) -> None:
        if not process.is_dead:
            self._note_body(operation, attempt, is_end=True)
        await self.reach(process, Crash.after_body(number), subject)

    def _note_body(self, operation: Any, attempt: int, *, is_end: bool) -> None:
        self._state.value()
        arn = operation.invocation.state.durable_execution_arn
        self.bodies.append(
            BodyEvent(
                arn,
                operation.id,
                operation.name,
                attempt,
                bool(getattr(operation, "_at_most_once", False)),
                is_end,
                (arn, operation.id) in self._state.ended,
            )
        )

    # --- moments ------------------------------------------------------------------------------------------

    async def reach(self, process: Process, crash: Crash, subject: Any) -> None:
        """Pass a moment, or die there."""
        await process.gate()
        if self.passes(crash, subject):
            return
        await process.die()

    def passes(self, crash: Crash, subject: Any) -> bool:
        """Note a moment; tell whether the process lives on."""
        done = len(self.crashed_at)
        if done < len(self.plan):
            if crash != self.plan[done]:
                return True
            self.crashed_at.append(self._moment(crash, subject, self._state_now()))
            return False
        if self.moments is not None:
            self.moments.count += 1
            state = self._state_now()
            if state not in self.moments.known:
                self.moments.add(self._moment(crash, subject, state))
        return True

    def _moment(self, crash: Crash, subject: Any, state: Hashable) -> Moment:
        log = self._scenario.effects
        return Moment(crash, state, 0 if log is None else len(log), len(self.bodies), subject)

    def _state_now(self) -> Hashable:
        world, log = self._scenario.world, self._scenario.effects
        state: Hashable = self._state.value()
        if world is not None:
            state = (state, repr(world()))
        elif log is not None:
            state = (state, log.total)
        return state


def _status(answer: Any) -> str:
    return str(answer.get("Status", "?")) if isinstance(answer, dict) else repr(answer)


class _WatchedClient(PassingClient):
    """A client whose calls are moments."""

    def __init__(self, inner: Any, run: CrashingRun, process: Process, rules: InvocationRules) -> None:
        super().__init__(inner)
        self._rules = rules
        self._run = run
        self._process = process

    async def checkpoint(self, **request: Any) -> CheckpointResponse:
        with self._rules.call(request["checkpoint_token"], request["updates"]):
            response: CheckpointResponse = await self._run.checkpoint(
                self._process, request, self.inner.checkpoint
            )
        return response

    async def get_state(self, **request: Any) -> Any:
        await self._process.gate()
        return await self.inner.get_state(**request)


class _Yields:
    """Counts the Trio checkpoints of one body, and may kill the process at one."""

    __slots__ = ("_count", "_number", "_process", "_run", "_subject")

    def __init__(self, run: CrashingRun, process: Process, number: int, subject: str) -> None:
        self._run, self._process, self._number, self._subject = run, process, number, subject
        self._count = 0

    def __call__(self) -> None:
        self._count += 1
        if self._process.is_dead or self._count > MAX_BODY_POINTS:
            return
        if not self._run.passes(Crash.in_body(self._number, self._count), self._subject):
            # The body is about to block; the cancellation reaches it there.
            self._process.kill()
