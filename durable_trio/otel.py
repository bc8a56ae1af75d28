"""OpenTelemetry: one trace per execution, over all of its invocations. Needs the extra ``[otel]``.

An execution is many processes' work, so no process holds a span open for another one. Ids are derived instead:
the trace's from the execution's ARN, a span's from the ARN and the operation. Every invocation computes the
same ones, names them as parents before they exist, and exports a span when the thing it stands for has ended:

    execution                      exported by the invocation that ends it
     ├─ invocation                 one each; what the handler does outside of operations is in it
     └─ operation                  from START to end by the service's clock, over suspensions
         ├─ attempt                a run of a step's body; spans made in it are its children
         └─ operation ...          of a child context, a map, a parallel

Whether a trace is sampled is asked of the provider's sampler once per invocation, with the trace's id; so a
sampler that decides by the id, like the usual ones, decides the same every time.

::

    from durable_trio import durable_execution
    from durable_trio.otel import opentelemetry_plugin

    @durable_execution(plugins=[opentelemetry_plugin()])
    async def handler(event, ctx): ...

Lines of ``ctx.logger`` and of ``logging`` (see ``durable_trio.log``) carry ``trace_id`` and ``span_id`` of the span
that is current where they are written.
"""

from __future__ import annotations

import json
from contextvars import ContextVar
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

try:
    from opentelemetry import context as otel_context
    from opentelemetry import trace
    from opentelemetry.sdk.trace import Tracer, TracerProvider
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.sdk.trace.sampling import Decision
    from opentelemetry.trace import (
        NonRecordingSpan,
        Span,
        SpanContext,
        SpanKind,
        Status,
        StatusCode,
        TraceFlags,
    )
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        f"durable_trio.otel needs more packages ({missing}): pip install 'durable_trio[otel]'",
        name=missing.name,
    ) from missing

from durable_trio._protocol.operation import OperationStatus, OperationType
from durable_trio.exceptions import ConfigurationError
from durable_trio.log import extra_log_fields
from durable_trio.plugins import InvocationStatus, Plugin, UserFunctionOutcome

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextvars import Token

    from durable_trio._protocol.operation import ErrorObject
    from durable_trio.plugins import (
        InvocationEndInfo,
        InvocationInfo,
        OperationInfo,
        PluginFactory,
        UserFunctionEndInfo,
        UserFunctionInfo,
    )

__all__ = ["create_plugin", "opentelemetry_plugin", "span_id_of", "trace_id_of"]

_SCOPE: Final = "durable_trio"
_FLUSH_MILLISECONDS: Final = 5_000

_next_ids: ContextVar[tuple[int, int]] = ContextVar("durable_trio_otel_next_ids")


def trace_id_of(execution_arn: str) -> int:
    """Return the trace id of an execution: 128 bits, never 0."""
    return _digest(16, "trace", execution_arn)


def span_id_of(execution_arn: str, *parts: str | int) -> int:
    """Return a span id in an execution's trace: 64 bits, never 0.

    Without *parts* it is the execution's own span, with an operation's id the operation's.
    """
    return _digest(8, "span", execution_arn, *parts)


def _digest(size: int, *parts: str | int) -> int:
    return int.from_bytes(blake2b(json.dumps(parts).encode(), digest_size=size).digest(), "big") or 1


def opentelemetry_plugin(
    tracer_provider: TracerProvider | None = None, *, flush: bool = True
) -> PluginFactory:
    """Return a plugin for ``durable_execution(plugins=[...])`` that traces executions.

    Args:
        tracer_provider: where spans go; by default the global provider, as it is when an invocation begins.
        flush: whether to export what is buffered before an invocation is answered, for at most 5 seconds.
            Lambda freezes the process after the answer.

    Raises (when an invocation begins; it is logged, and there is no trace):
        ConfigurationError: the provider is not one of OpenTelemetry's SDK, so span ids cannot be chosen.
    """

    def create(info: InvocationInfo) -> Plugin:
        provider = trace.get_tracer_provider() if tracer_provider is None else tracer_provider
        if not isinstance(provider, TracerProvider):
            raise ConfigurationError(
                f"tracing needs a TracerProvider of opentelemetry.sdk, not {type(provider).__name__}:"
                " call trace.set_tracer_provider(...) or pass one to opentelemetry_plugin(...)"
            )
        return _Tracing(provider, info, flush=flush)

    return create


def create_plugin(info: InvocationInfo) -> object:
    """Make the plugin with the global provider: the entry point called ``otel``."""
    return opentelemetry_plugin()(info)


class _DerivedIds(IdGenerator):
    """Gives the ids that were decided just before a span is started, in the same task."""

    def generate_trace_id(self) -> int:
        return _next_ids.get()[0]

    def generate_span_id(self) -> int:
        return _next_ids.get()[1]

    def is_trace_id_random(self) -> bool:
        return False


class _Tracing(Plugin):
    def __init__(self, provider: TracerProvider, info: InvocationInfo, *, flush: bool) -> None:
        self._provider = provider
        self._flush = flush
        self._arn = info.execution_arn
        self._trace_id = trace_id_of(self._arn)
        tracer = provider.get_tracer(_SCOPE)
        if isinstance(tracer, Tracer):  # not if tracing is switched off
            tracer.id_generator = _DerivedIds()
        self._tracer = tracer
        decision = provider.sampler.should_sample(None, self._trace_id, "execution").decision
        is_sampled = decision is Decision.RECORD_AND_SAMPLE
        self._flags = TraceFlags(TraceFlags.SAMPLED if is_sampled else TraceFlags.DEFAULT)
        self._execution = span_id_of(self._arn)
        self._invocation: Span | None = None
        self._attachments: dict[tuple[str, int | None], tuple[Span | None, Token[otel_context.Context]]] = {}
        self._invocation_token: Token[otel_context.Context] | None = None
        self._log_token: Any = None

    # --- invocations --------------------------------------------------------------------------------------

    def on_invocation_start(self, info: InvocationInfo) -> None:
        self._invocation = self._start(
            "invocation",
            span_id_of(self._arn, "invocation", info.request_id or "", info.operation_count),
            parent=self._execution,
            kind=SpanKind.SERVER,
            attributes={
                "faas.invocation_id": info.request_id,
                "durable.execution.arn": self._arn,
                "durable.invocation.is_first": info.is_first,
            },
        )
        self._invocation_token = otel_context.attach(trace.set_span_in_context(self._invocation))
        self._log_token = extra_log_fields.set(_current_ids)

    def on_invocation_end(self, info: InvocationEndInfo) -> None:
        if self._log_token is not None:
            extra_log_fields.reset(self._log_token)
        if self._invocation_token is not None:
            otel_context.detach(self._invocation_token)
        if self._invocation is not None:
            self._invocation.set_attribute("durable.invocation.status", info.status.value)
            if info.status in (InvocationStatus.FAILED, InvocationStatus.RAISED):
                _record_failure(self._invocation, info.error)
            self._invocation.end()
        if info.status.is_terminal:
            self._end_execution(info)
        if self._flush:
            self._provider.force_flush(_FLUSH_MILLISECONDS)

    def _end_execution(self, info: InvocationEndInfo) -> None:
        span = self._start(
            "execution",
            self._execution,
            parent=None,
            started_at=info.execution_started_at,
            attributes={"durable.execution.arn": self._arn, "durable.execution.status": info.status.value},
        )
        if info.status is InvocationStatus.FAILED:
            _record_failure(span, info.error)
        span.end(_nanoseconds(info.ended_at))

    # --- operations ---------------------------------------------------------------------------------------

    def on_operation_end(self, info: OperationInfo) -> None:
        span = self._start(
            _title(info),
            span_id_of(self._arn, info.id),
            parent=self._parent_of(info),
            started_at=info.started_at,
            attributes={**_attributes(info), "durable.operation.status": info.status.value},
        )
        if info.status is not OperationStatus.SUCCEEDED:
            _record_failure(span, info.error)
        span.end(None if info.ended_at is None else _nanoseconds(info.ended_at))

    def _parent_of(self, info: OperationInfo) -> int:
        return self._execution if info.parent_id is None else span_id_of(self._arn, info.parent_id)

    # --- bodies -------------------------------------------------------------------------------------------

    def on_user_function_start(self, info: UserFunctionInfo) -> None:
        operation = span_id_of(self._arn, info.id)
        if info.type is OperationType.STEP:
            attempt: Span | None = self._start(
                f"{_title(info)} attempt {info.attempt}",
                # A run that a crash cut off is repeated as the same attempt, and is another span.
                span_id_of(self._arn, info.id, info.attempt or 0, info.started_at),
                parent=operation,
                started_at=info.started_at,
                attributes=_attributes(info),
            )
            current: Span = attempt or trace.INVALID_SPAN
        else:
            attempt, current = None, self._remote(operation)
        token = otel_context.attach(trace.set_span_in_context(current))
        self._attachments[info.id, info.attempt] = attempt, token

    def on_user_function_end(self, info: UserFunctionEndInfo) -> None:
        attempt, token = self._attachments.pop((info.id, info.attempt))
        otel_context.detach(token)
        if attempt is None:
            return
        attempt.set_attribute("durable.attempt.outcome", info.outcome.value)
        if info.error is not None:
            attempt.record_exception(info.error, timestamp=_nanoseconds(info.ended_at))
            attempt.set_status(Status(StatusCode.ERROR, str(info.error)))
        elif info.outcome is UserFunctionOutcome.SUCCEEDED:
            attempt.set_status(Status(StatusCode.OK))
        attempt.end(_nanoseconds(info.ended_at))

    # --- spans --------------------------------------------------------------------------------------------

    def _remote(self, span_id: int) -> NonRecordingSpan:
        return NonRecordingSpan(SpanContext(self._trace_id, span_id, is_remote=True, trace_flags=self._flags))

    def _start(
        self,
        name: str,
        span_id: int,
        *,
        parent: int | None,
        attributes: Mapping[str, Any],
        started_at: int | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> Span:
        around = otel_context.Context()
        if parent is not None:
            around = trace.set_span_in_context(self._remote(parent), around)
        token = _next_ids.set((self._trace_id, span_id))
        try:
            return self._tracer.start_span(
                name,
                around,
                kind,
                {key: value for key, value in attributes.items() if value is not None},
                start_time=None if started_at is None else _nanoseconds(started_at),
            )
        finally:
            _next_ids.reset(token)


def _title(info: OperationInfo | UserFunctionInfo) -> str:
    return info.name or info.sub_type or info.type.value


def _attributes(info: OperationInfo | UserFunctionInfo) -> dict[str, Any]:
    return {
        "durable.execution.arn": info.execution_arn,
        "durable.operation.id": info.id,
        "durable.operation.type": info.type.value,
        "durable.operation.sub_type": info.sub_type,
        "durable.operation.name": info.name,
        "durable.operation.attempt": info.attempt,
    }


def _record_failure(span: Span, error: ErrorObject | None) -> None:
    """Give *span* the status and the event of an exception that is known by its record only."""
    span.set_status(Status(StatusCode.ERROR, None if error is None else error.message))
    if error is not None:
        attributes = {
            "exception.type": error.type,
            "exception.message": error.message,
            "exception.stacktrace": "\n".join(error.stack) or None,
        }
        span.add_event("exception", {key: value for key, value in attributes.items() if value is not None})


def _current_ids() -> dict[str, str]:
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return {}
    return {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}


def _nanoseconds(at: int) -> int:
    return at * 1_000_000
