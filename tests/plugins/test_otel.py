"""Traces: one per execution, over its invocations, with ids that can be computed."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, TraceIdRatioBased
from opentelemetry.trace import StatusCode
from support.crashes import Crash, Crashing
from support.runs import Handler, Run, run
from trio.testing import MockClock

from durable_trio import (
    ConfigurationError,
    DurableContext,
    Duration,
    StepError,
    current_step,
    durable_execution,
    fixed_delay,
)
from durable_trio.otel import opentelemetry_plugin, span_id_of, trace_id_of
from durable_trio.plugins import ENTRY_POINT_GROUP, InvocationInfo

SECOND = Duration.seconds(1)


class Tracing:
    """A provider that keeps spans in memory."""

    def __init__(self, **options: Any) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False, **options)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.plugin = opentelemetry_plugin(self.provider)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """What was exported, in order."""
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the spans called *name*."""
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """Return the only span called *name*."""
        (span,) = self.named(name)
        return span


@pytest.fixture
def tracing() -> Iterator[Tracing]:
    """Give a provider of the test's own."""
    made = Tracing()
    yield made
    made.provider.shutdown()


def ids(span: ReadableSpan) -> tuple[int, int]:
    """Return the trace id and the span id."""
    context = span.get_span_context()
    assert context is not None
    return context.trace_id, context.span_id


def parent(span: ReadableSpan) -> int | None:
    """Return the id of the span's parent."""
    return None if span.parent is None else span.parent.span_id


def flow(tracing: Tracing) -> Handler:
    """Return a handler with everything in it: suspensions, a retry, a child context, a user's own span."""
    tracer = tracing.provider.get_tracer("mine")

    async def flaky() -> int:
        with tracer.start_as_current_span("my own"):
            current_step().logger.info("in step")
        if current_step().attempt == 1:
            raise OSError("try again")
        return 1

    async def child(ctx: DurableContext) -> int:
        return await ctx.step(flaky, name="flaky", retry=fixed_delay(SECOND))

    @durable_execution(plugins=[tracing.plugin])
    async def handler(event: Any, ctx: DurableContext) -> int:
        ctx.logger.info("begin")
        value = await ctx.run_in_child_context(child, name="group")
        await ctx.wait(SECOND, name="pause")
        return value

    return handler


def check_tree(tracing: Tracing, finished: Run) -> None:
    """Assert that there is one trace, and that every operation's span is its record's, under the right parent."""
    arn = finished.description.arn
    assert {ids(span)[0] for span in tracing.spans} == {trace_id_of(arn)}
    assert len({ids(span) for span in tracing.spans}) == len(tracing.spans)
    execution = tracing.one("execution")
    assert (ids(execution)[1], parent(execution)) == (span_id_of(arn), None)
    for record in finished.operations:
        if record.type == "EXECUTION":
            continue
        span = tracing.one(record.name or "")
        assert ids(span)[1] == span_id_of(arn, record.id)
        above = span_id_of(arn) if record.parent_id is None else span_id_of(arn, record.parent_id)
        assert parent(span) == above
        assert record.ended_at is not None
        assert (span.start_time, span.end_time) == (record.started_at * 10**6, record.ended_at * 10**6)


async def test_invocations_join_one_trace(tracing: Tracing, autojump_clock: MockClock) -> None:
    """Execution, invocations, operations, attempts: spans of three invocations form one tree."""
    finished = await run(flow(tracing))

    check_tree(tracing, finished)
    arn = finished.description.arn
    invocations = tracing.named("invocation")
    assert len(invocations) == 3
    assert {parent(span) for span in invocations} == {span_id_of(arn)}
    assert [(span.attributes or {})["durable.invocation.status"] for span in invocations] == [
        "PENDING",
        "PENDING",
        "SUCCEEDED",
    ]
    attempts = tracing.named("flaky attempt 1") + tracing.named("flaky attempt 2")
    assert {parent(span) for span in attempts} == {span_id_of(arn, finished.named("flaky").id)}
    assert [parent(span) for span in tracing.named("my own")] == [ids(span)[1] for span in attempts]


async def test_status_and_exceptions(tracing: Tracing, autojump_clock: MockClock) -> None:
    """A failed attempt has its exception, a failed operation and execution what is recorded of it."""

    async def fail() -> None:
        raise ValueError("bad order")

    @durable_execution(plugins=[tracing.plugin])
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(fail, name="charge", retry=fixed_delay(SECOND, max_attempts=2))

    await run(handler)

    failed = [tracing.one("execution"), tracing.one("charge"), tracing.one("charge attempt 2")]
    for span in [*failed, tracing.one("charge attempt 1")]:
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description == "bad order"
        (event,) = span.events
        assert event.attributes is not None
        assert event.attributes["exception.type"] == "ValueError"
    statuses = [span.status.status_code for span in tracing.named("invocation")]
    assert statuses == [StatusCode.UNSET, StatusCode.ERROR]


async def test_log_lines_carry_the_current_span(
    tracing: Tracing, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line names the trace, and the innermost span at the place where it was written; afterwards, none."""
    finished = await run(flow(tracing))

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["message"] for line in lines] == ["begin", "in step", "in step"]
    assert {line["trace_id"] for line in lines} == {f"{trace_id_of(finished.description.arn):032x}"}
    expected = [tracing.named("invocation")[0], *tracing.named("my own")]
    assert [line["span_id"] for line in lines] == [f"{ids(span)[1]:016x}" for span in expected]
    assert not trace.get_current_span().get_span_context().is_valid


@pytest.mark.parametrize("call", range(1, 5))
async def test_crashes_leave_one_tree(call: int, tracing: Tracing, autojump_clock: MockClock) -> None:
    """Whatever is killed: the trace is one, and has one span for each operation."""
    finished = await run(Crashing(flow(tracing), Crash(call, "before")))

    check_tree(tracing, finished)


async def test_a_trace_is_sampled_as_a_whole(autojump_clock: MockClock) -> None:
    """A sampler that decides by the trace's id gets all of an execution or nothing of it."""
    off, some = Tracing(sampler=ALWAYS_OFF), Tracing(sampler=TraceIdRatioBased(0.5))

    await run(flow(off))
    counts = []
    for _ in range(12):
        before = len(some.spans)
        await run(flow(some))
        counts.append(len(some.spans) - before)

    assert off.spans == ()
    assert set(counts) <= {0, max(counts)}


async def test_without_a_provider_nothing_is_traced(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without OpenTelemetry's SDK set up, the plugin says so, and the execution goes on."""

    @durable_execution(plugins=[opentelemetry_plugin()])
    async def handler(event: Any, ctx: DurableContext) -> str:
        with pytest.raises(StepError):
            await ctx.step(lambda: 1 / 0, name="x", retry=lambda error, attempt: None)
        return "done"

    assert (await run(handler)).result == "done"
    assert "tracing needs a TracerProvider" in capsys.readouterr().out


def test_the_entry_point() -> None:
    """The environment may call it ``otel``; it traces with the global provider, and there is none here."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    (name, value) = next(iter(project["entry-points"][ENTRY_POINT_GROUP].items()))
    create_plugin = EntryPoint(name, value, ENTRY_POINT_GROUP).load()

    assert name == "otel"
    with pytest.raises(ConfigurationError, match="TracerProvider"):
        create_plugin(InvocationInfo("arn", None, True, 0, (), 0))
