"""Suite ``plugin``: what plugins are told, by plugins that print it.

Each line is an object with the execution's ARN, as the requirements ask for.
"""

# ruff: noqa: D102  # what a hook is for, Plugin says

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, NoReturn

from conformance.bodies import fail, give, greet, succeed_on

from durable_trio import (
    Branch,
    DurableContext,
    Duration,
    OperationType,
    current_step,
    durable_execution,
    fixed_delay,
    no_retry,
)
from durable_trio.plugins import (
    InvocationEndInfo,
    InvocationInfo,
    OperationInfo,
    Plugin,
    UserFunctionEndInfo,
    UserFunctionInfo,
)

ONE_SECOND = Duration.seconds(1)
TWO_SECONDS = Duration.seconds(2)


class Printer(Plugin):
    """Prints what it is told; which hooks do is up to the plugins that follow."""

    label = "CONFPLUGIN"

    def __init__(self, info: InvocationInfo) -> None:
        self.arn = info.execution_arn

    def say(self, hook: str, **fields: Any) -> None:
        """Print a line; what is None is left out."""
        line = {"durableExecutionArn": self.arn, "plugin": self.label, "hook": hook, **fields}
        print(json.dumps({key: value for key, value in line.items() if value is not None}), flush=True)


class Invocations(Printer):
    """10-1, 10-5, 10-7: when invocations begin and how they end."""

    def on_invocation_start(self, info: InvocationInfo) -> None:
        self.say("invocation-start", first=info.is_first)

    def on_invocation_end(self, info: InvocationEndInfo) -> None:
        self.say("invocation-end", status=info.status)


class InvocationsA(Invocations):
    """10-5: one of two."""

    label = "CONFPLUGIN-A"


class InvocationsB(Invocations):
    """10-5: the other one."""

    label = "CONFPLUGIN-B"


class Attempts(Printer):
    """10-3, 10-15: each attempt of a step."""

    def on_user_function_start(self, info: UserFunctionInfo) -> None:
        if info.type is OperationType.STEP:
            self.say("attempt-start", n=info.attempt, op=info.id)

    def on_user_function_end(self, info: UserFunctionEndInfo) -> None:
        if info.type is OperationType.STEP:
            self.say("attempt-end", n=info.attempt, outcome=info.outcome, op=info.id)


class AttemptsAndEnds(Attempts):
    """10-15: the operation's end as well."""

    def on_operation_end(self, info: OperationInfo) -> None:
        if info.type is OperationType.STEP:
            self.say("operation-end", op=info.id, status=info.status)


class Updates(Printer):
    """10-9: what has ended between the invocations."""

    def on_invocation_start(self, info: InvocationInfo) -> None:
        for operation in info.updated_operations:
            if operation.type is OperationType.WAIT:
                self.say("updated-on-invoke", op=operation.id, status=operation.status, first=info.is_first)


class Parents(Printer):
    """10-11: the parent of whatever ends."""

    def on_operation_end(self, info: OperationInfo) -> None:
        self.say("operation-end", op=info.id, parent=info.parent_id or "NONE", status=info.status)


class Replays(Printer):
    """10-13: which starts are news."""

    def on_operation_start(self, info: OperationInfo) -> None:
        if info.type is OperationType.STEP:
            self.say("operation-start", op=info.id, replay=info.is_replayed)

    on_operation_replay = on_operation_start

    def on_operation_end(self, info: OperationInfo) -> None:
        if info.type is OperationType.STEP:
            self.say("operation-end", op=info.id, status=info.status)


class Healthy(AttemptsAndEnds, Invocations):
    """10-17: hears of everything, beside a plugin that fails at everything."""

    label = "CONFPLUGIN-HEALTHY"

    def on_operation_start(self, info: OperationInfo) -> None:
        self.say("operation-start", op=info.id)


class Faulty(Printer):
    """10-17: says which hook it is, and fails."""

    label = "CONFPLUGIN-FAULTY"

    def fail_at(self, hook: str) -> NoReturn:
        """Print the hook and fail."""
        self.say(hook)
        raise RuntimeError(f"faulty at {hook}")

    def on_invocation_start(self, info: InvocationInfo) -> None:
        self.fail_at("invocation-start")

    def on_invocation_end(self, info: InvocationEndInfo) -> None:
        self.fail_at("invocation-end")

    def on_operation_start(self, info: OperationInfo) -> None:
        self.fail_at("operation-start")

    def on_operation_end(self, info: OperationInfo) -> None:
        self.fail_at("operation-end")

    def on_user_function_start(self, info: UserFunctionInfo) -> None:
        self.fail_at("attempt-start")

    def on_user_function_end(self, info: UserFunctionEndInfo) -> None:
        self.fail_at("attempt-end")


class InvocationFields(Printer):
    """10-19: every field of an invocation."""

    def on_invocation_start(self, info: InvocationInfo) -> None:
        self.say(
            "invocation-start", updatedOperationsCount=len(info.updated_operations), **self.fields_of(info)
        )

    def on_invocation_end(self, info: InvocationEndInfo) -> None:
        error = None if info.error is None else info.error.message
        self.say(
            "invocation-end",
            status=info.status,
            terminal=info.status.is_terminal,
            executionError=error,
            **self.fields_of(info),
        )

    def fields_of(self, info: InvocationInfo) -> dict[str, Any]:
        """Return what both ends of an invocation know."""
        return {
            "isFirstInvocation": info.is_first,
            "requestId": info.request_id,
            "operationsCount": info.operation_count,
            "executionStartTimestamp": iso(info.execution_started_at),
        }


class AttemptFields(Printer):
    """10-21: every field of an attempt."""

    def on_user_function_start(self, info: UserFunctionInfo) -> None:
        if info.type is OperationType.STEP:
            self.say("attempt-start", **function_fields(info))

    def on_user_function_end(self, info: UserFunctionEndInfo) -> None:
        if info.type is OperationType.STEP:
            error = None if info.error is None else str(info.error)
            ended = {"endTimestamp": iso(info.ended_at), "outcome": info.outcome, "error": error}
            self.say("attempt-end", **function_fields(info), **ended)


class ContextFields(Printer):
    """10-23: every field of contexts and of their bodies."""

    def on_operation_start(self, info: OperationInfo) -> None:
        if info.type is OperationType.CONTEXT:
            self.say(
                "operation-start",
                id=info.id,
                name=info.name,
                type=info.type,
                subType=info.sub_type,
                parentId=info.parent_id,
                isReplay=info.is_replayed,
                startTimestamp=iso(info.started_at),
            )

    on_operation_replay = on_operation_start

    def on_user_function_start(self, info: UserFunctionInfo) -> None:
        if info.type is OperationType.CONTEXT:
            self.say("fn-start", **function_fields(info))


def function_fields(info: UserFunctionInfo) -> dict[str, Any]:
    """Return what both ends of a run of a body know."""
    return {
        "id": info.id,
        "name": info.name,
        "type": info.type,
        "subType": info.sub_type,
        "parentId": info.parent_id,
        "attempt": info.attempt,
        "startTimestamp": iso(info.started_at),
        "isReplay": info.is_replayed,
        "isReplayingChildren": info.is_replaying_children,
    }


def iso(at: int) -> str:
    """Return an instant as text."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat()


async def greet_aloud(name: str) -> str:
    """Log that the body runs, and return a greeting."""
    current_step().logger.info(f"Greeting step running for: {name}")
    return await greet(name)


@durable_execution(plugins=[Invocations])
async def invocations(event: str, ctx: DurableContext) -> str:
    """10-1: a single step."""
    return await ctx.step(greet_aloud, event)


@durable_execution(plugins=[Attempts])
async def attempts(event: None, ctx: DurableContext) -> str:
    """10-3: the second attempt succeeds."""
    return await ctx.step(succeed_on, 2, "Operation succeeded", retry=fixed_delay(ONE_SECOND))


@durable_execution(plugins=[InvocationsA, InvocationsB])
async def two_plugins(event: str, ctx: DurableContext) -> str:
    """10-5: two plugins."""
    return await ctx.step(greet, event)


@durable_execution(plugins=[Invocations])
async def failed(event: None, ctx: DurableContext) -> None:
    """10-7: a step that fails for good."""
    await ctx.step(fail, retry=no_retry())


@durable_execution(plugins=[Updates])
async def updated(event: None, ctx: DurableContext) -> None:
    """10-9: a wait ends between two invocations."""
    await ctx.wait(TWO_SECONDS)


@durable_execution(plugins=[Parents])
async def nested(event: str, ctx: DurableContext) -> str:
    """10-11: a step in a child context."""

    async def child(inner: DurableContext) -> str:
        return await inner.step(greet, event)

    return await ctx.run_in_child_context(child)


@durable_execution(plugins=[Replays])
async def replayed(event: None, ctx: DurableContext) -> str:
    """10-13: one step has ended, another one waits for its second attempt."""
    await ctx.step(give, "a")
    return await ctx.step(succeed_on, 2, "Operation succeeded", retry=fixed_delay(ONE_SECOND))


@durable_execution(plugins=[AttemptsAndEnds])
async def exhausted(event: None, ctx: DurableContext) -> None:
    """10-15: two attempts, both in vain."""
    await ctx.step(fail, retry=fixed_delay(ONE_SECOND, max_attempts=2))


@durable_execution(plugins=[Faulty, Healthy])
async def faulty(event: str, ctx: DurableContext) -> str:
    """10-17: a plugin that fails at everything."""
    return await ctx.step(greet, event)


@durable_execution(plugins=[InvocationFields])
async def invocation_fields(event: str, ctx: DurableContext) -> str:
    """10-19: a wait."""
    await ctx.wait(TWO_SECONDS)
    return f"done-{event}"


@durable_execution(plugins=[AttemptFields])
async def attempt_fields(event: None, ctx: DurableContext) -> str:
    """10-21: the second attempt succeeds."""
    return await ctx.step(succeed_on, 2, "ok", name="flaky", retry=fixed_delay(ONE_SECOND))


@durable_execution(plugins=[ContextFields])
async def context_fields(event: None, ctx: DurableContext) -> list[str]:
    """10-23: two named branches, one after the other; the first one is suspended."""

    async def branch_a(inner: DurableContext) -> str:
        await inner.step(give, "x", name="inner")
        await inner.wait(TWO_SECONDS)
        return "a-done"

    async def branch_b(inner: DurableContext) -> str:
        return "b-done"

    branches = [Branch(branch_a, name="branch-a"), Branch(branch_b, name="branch-b")]
    batch = await ctx.parallel(branches, name="ctx", max_concurrency=1)
    return batch.results()


HANDLERS = {
    "10-1": invocations,
    "10-3": attempts,
    "10-5": two_plugins,
    "10-7": failed,
    "10-9": updated,
    "10-11": nested,
    "10-13": replayed,
    "10-15": exhausted,
    "10-17": faulty,
    "10-19": invocation_fields,
    "10-21": attempt_fields,
    "10-23": context_fields,
}
