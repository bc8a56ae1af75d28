"""What can be imported, and how it is called: names, parameters, defaults, members, families of errors."""

from __future__ import annotations

import inspect
from datetime import timedelta
from enum import StrEnum
from typing import Any

import pytest
import trio

import durable_trio
from durable_trio import (
    BatchItem,
    BatchItemStatus,
    BatchResult,
    Branch,
    CheckpointingMode,
    CompletionConfig,
    CompletionReason,
    DurableContext,
    Duration,
    ReplayLogging,
    RetryPresets,
    RetryStrategy,
    durable_execution,
    exponential_backoff,
)

METHODS = {
    "step": "fn *args name retry semantics timeout serdes result_type sub_type config",
    "wait": "duration name",
    "create_callback": "name timeout heartbeat_timeout serdes result_type config",
    "wait_for_callback": "submitter *args name timeout heartbeat_timeout retry serdes result_type config",
    "wait_for_condition": "check *args initial_state until wait_strategy interval name serdes config",
    "invoke": "function_name payload name tenant_id payload_serdes result_serdes config",
    "run_in_child_context": "fn *args name virtual summary serdes error_mapper config",
    "map": "items fn name max_concurrency completion nesting item_namer item_serdes serdes summary batch item_retry config",
    "parallel": "branches name max_concurrency completion nesting item_serdes serdes summary item_retry config",
    "all": "operations",
    "any": "operations",
    "race": "operations",
    "all_settled": "operations",
    "open_nursery": "name",
    "move_on_after": "duration name",
    "fail_after": "duration name",
    "fail_at": "deadline",
    "saga": "name",
    "retry": "fn *args retry strategy name",
    "cancel_wait": "wait",
    "shield": "",
    "complete": "value",
    "fail": "error",
    "flush": "",
    "uuid": "",
    "random": "",
    "now": "",
    "remaining_time": "",
}
PROPERTIES = "logger is_replaying execution_arn original_input original_input_raw lambda_context parent_id"
COROUTINES = {"complete", "fail", "flush", "cancel_wait"}

HANDLER_OPTIONS = {
    "client": None,
    "checkpointing": CheckpointingMode.BATCHED,
    "serdes": None,
    "handler_serdes": None,
    "input_type": None,
    "deadline_margin": None,
    "replay_logging": ReplayLogging.SUPPRESS_ALL,
    "inline_wait": None,
    "plugins": (),
    "on_error": None,
    "logger": None,
}

CONFIGS = {
    "StepConfig": "retry semantics timeout serdes result_type",
    "CallbackConfig": "timeout heartbeat_timeout serdes",
    "WaitForCallbackConfig": "timeout heartbeat_timeout retry serdes",
    "WaitForConditionConfig": "until wait_strategy interval serdes",
    "InvokeConfig": "tenant_id payload_serdes result_serdes",
    "ChildConfig": "virtual summary serdes error_mapper",
    "MapConfig": "max_concurrency completion nesting item_namer item_serdes serdes summary batch item_retry",
    "ParallelConfig": "max_concurrency completion nesting item_serdes serdes summary item_retry",
    "CompletionConfig": "min_successful tolerated_failure_count tolerated_failure_percentage predicate",
}

ENUMS = {
    "StepSemantics": "AT_LEAST_ONCE_PER_RETRY AT_MOST_ONCE_PER_RETRY",
    "NestingType": "NESTED FLAT",
    "CheckpointingMode": "EAGER BATCHED OPTIMISTIC",
    "ReplayLogging": "SUPPRESS_ALL ERRORS_ONLY WARNINGS_AND_ERRORS ALLOW_ALL",
    "Jitter": "NONE FULL HALF",
    "CompletionReason": "ALL_COMPLETED MIN_SUCCESSFUL_REACHED FAILURE_TOLERANCE_EXCEEDED"
    " CUSTOM_COMPLETION_SUCCEEDED CUSTOM_COMPLETION_FAILED",
    "BatchItemStatus": "SUCCEEDED FAILED STARTED",
    "OperationStatus": "STARTED PENDING READY SUCCEEDED FAILED CANCELLED TIMED_OUT STOPPED",
    "OperationType": "EXECUTION CONTEXT STEP WAIT CALLBACK CHAINED_INVOKE",
}

PARENTS = {
    "OperationError": "DurableError",
    "StepError": "OperationError",
    "StepTimeoutError": "StepError",
    "StepInterruptedError": "StepError",
    "InvokeError": "OperationError",
    "ChildContextError": "OperationError",
    "WaitForConditionError": "OperationError",
    "MapError": "OperationError",
    "CompensationError": "OperationError",
    "CallbackError": "OperationError",
    "CallbackExternalError": "CallbackError",
    "CallbackTimeoutError": "CallbackError",
    "CallbackSubmitterError": "CallbackError",
    "OperationCancelledError": "DurableError",
    "DurableTimeoutError": "DurableError",
    "NonDeterministicExecutionError": "DurableError",
    "ContextUseError": "DurableError",
    "ValidationError": "DurableError",
    "ConfigurationError": "DurableError",
    "SerDesError": "DurableError",
    "RetryableSerDesError": "DurableError",
    "ServiceError": "DurableError",
    "CheckpointError": "ServiceError",
    "GetStateError": "ServiceError",
    "ThrottlingError": "ServiceError",
    "SizeLimitError": "ServiceError",
    "InvalidTokenError": "ServiceError",
    "ExecutionError": "DurableError",
    "InvocationError": "DurableError",
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_take_the_documented_parameters(name: str) -> None:
    """Every documented parameter is there, positional ones in their order, options as keywords only."""
    parameters = inspect.signature(getattr(DurableContext, name)).parameters
    wanted = METHODS[name].split()
    plain = [p for p in parameters.values() if p.name != "self"]
    for parameter in wanted:
        assert parameter.removeprefix("*") in parameters
    positional = [p.name for p in plain if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == wanted[: len(positional)]
    if "*args" in wanted:
        assert parameters["args"].kind is inspect.Parameter.VAR_POSITIONAL
    for option in ("name", "config", "serdes", "retry"):
        if option in parameters:
            assert parameters[option].kind is inspect.Parameter.KEYWORD_ONLY


def test_properties_and_coroutines() -> None:
    """What a context knows is read without a call; only what may block is async."""
    for name in PROPERTIES.split():
        assert isinstance(inspect.getattr_static(DurableContext, name), property)
    for name in METHODS:
        assert inspect.iscoroutinefunction(getattr(DurableContext, name)) == (name in COROUTINES)


def test_the_decorators_options_and_defaults() -> None:
    """``durable_execution(fn=None, *, ...)``: every option has its documented default."""
    parameters = inspect.signature(durable_execution).parameters
    assert next(iter(parameters)) == "fn"
    assert {name: p.default for name, p in parameters.items() if name != "fn"} == HANDLER_OPTIONS
    assert all(p.kind is p.KEYWORD_ONLY for name, p in parameters.items() if name != "fn")


def test_the_function_may_be_given_by_its_name() -> None:
    """``durable_execution(fn=handler)`` is ``durable_execution(handler)``."""

    async def handler(event: Any, ctx: DurableContext) -> None:
        pass

    given: Any = {"fn": handler}
    assert durable_execution(**given).fn is handler  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", CONFIGS)
def test_config_classes(name: str) -> None:
    """Options can be kept in frozen values with the names of the keywords."""
    config = getattr(durable_trio, name)
    fields = inspect.signature(config).parameters
    assert set(CONFIGS[name].split()) <= set(fields)
    with pytest.raises(AttributeError):
        setattr(config(), next(iter(fields)), None)
    assert config() == config()


@pytest.mark.parametrize("name", ENUMS)
def test_enumerations_spell_their_wire_values(name: str) -> None:
    """Enumerations are ``StrEnum`` with these members, in this order, each equal to its name."""
    enum = getattr(durable_trio, name)
    assert issubclass(enum, StrEnum)
    assert list(enum.__members__) == ENUMS[name].split()
    assert all(member == member.name for member in enum)


@pytest.mark.parametrize("name", PARENTS)
def test_error_families(name: str) -> None:
    """One root, and families by who must act."""
    error = getattr(durable_trio, name)
    assert issubclass(error, getattr(durable_trio, PARENTS[name]))
    assert issubclass(error, durable_trio.DurableError)


def test_errors_that_are_also_something_else() -> None:
    """A durable time-out is a ``trio.TooSlowError``; a refused argument is a ``ValueError``."""
    assert issubclass(durable_trio.DurableTimeoutError, trio.TooSlowError)
    assert issubclass(durable_trio.ValidationError, ValueError)


def test_members_of_operation_errors() -> None:
    """An operation's error has these attributes, and prints exactly its message."""
    error = durable_trio.StepError(
        "no", error_type="ValueError", data="d", stack=["a"], operation_id="i", operation_name="n"
    )
    assert str(error) == error.message == "no"
    assert (error.error_type, error.data, list(error.stack)) == ("ValueError", "d", ["a"])
    assert (error.operation_id, error.operation_name) == ("i", "n")
    assert durable_trio.ThrottlingError("slow").is_retryable is True
    assert durable_trio.CheckpointError("no").is_retryable is False


def test_every_name_can_be_imported() -> None:
    """``__all__`` is sorted, without duplicates, and every name in it is there."""
    assert list(durable_trio.__all__) == sorted(set(durable_trio.__all__))
    for name in durable_trio.__all__:
        assert getattr(durable_trio, name) is not None
    assert set(durable_trio.__all__) <= set(dir(durable_trio))


def test_batches_can_be_made_by_hand() -> None:
    """``BatchResult`` and ``BatchItem`` have public constructors, for fakes and summaries."""
    good = BatchItem(0, BatchItemStatus.SUCCEEDED, "x")
    bad: BatchItem[str] = BatchItem(1, BatchItemStatus.FAILED, error=ValueError("no"), name="b")
    open_: BatchItem[str] = BatchItem(index=2, status=BatchItemStatus.STARTED)
    result = BatchResult([good, bad, open_], CompletionReason.MIN_SUCCESSFUL_REACHED)
    assert list(result) == list(result.items) == [good, bad, open_]
    assert (result.success_count, result.failure_count, result.started_count, result.total_count) == (
        1,
        1,
        1,
        3,
    )
    assert (result.succeeded(), result.failed(), result.started()) == ([good], [bad], [open_])
    assert result.has_failures
    assert result.status == "FAILED"
    assert result.results() == ["x"]
    assert [str(error) for error in result.errors()] == ["no"]
    with pytest.raises(durable_trio.MapError, match=r"^no$") as caught:
        result.raise_if_failed()
    assert list(caught.value.errors) == [bad.error]


def test_completion_factories() -> None:
    """The ready-made completions, and what they stand for."""
    assert CompletionConfig.all_successful() == CompletionConfig()
    assert CompletionConfig.first_successful() == CompletionConfig.with_min_successful(1)
    assert CompletionConfig.with_min_successful(3).min_successful == 3
    assert CompletionConfig.with_failure_tolerance(count=2).tolerated_failure_count == 2
    assert CompletionConfig.with_failure_tolerance(percentage=25).tolerated_failure_percentage == 25
    for percentage in (-1, 101):
        with pytest.raises(durable_trio.ValidationError, match=r"0 to 100"):
            CompletionConfig(tolerated_failure_percentage=percentage)


def test_the_presets_have_their_numbers() -> None:
    """Attempts and uncapped, unjittered first delays of the presets; jitter stays in its range."""
    error = ValueError("x")
    exact: dict[RetryStrategy, list[int | None]] = {
        RetryPresets.critical(): [1, 2, 3, 4, 6, 8, 12, 18, 26, None],
        RetryPresets.linear(): [1, 2, 3, 4, 5, None],
        RetryPresets.fixed(): [5, 5, 5, 5, None],
        RetryPresets.none(): [None],
    }
    for strategy, delays in exact.items():
        found = [strategy(error, attempt) for attempt in range(1, len(delays) + 1)]
        assert found == [None if d is None else timedelta(seconds=d) for d in delays]
    jittered: dict[RetryStrategy, list[tuple[int, int] | None]] = {
        RetryPresets.default(): [(1, 5), (1, 10), (1, 20), (1, 40), (1, 60), None],
        RetryPresets.transient(): [(3, 5), (5, 10), None],
        RetryPresets.resource_availability(): [(1, 5), (1, 10), (1, 20), (1, 40), None],
        exponential_backoff(): [(1, 5), (1, 10), None],
        exponential_backoff(max_attempts=10): [(1, min(5 * 2**n, 300)) for n in range(9)] + [None],
    }
    for strategy, ranges in jittered.items():
        for attempt, span in enumerate(ranges, 1):
            for _ in range(50):
                delay = strategy(error, attempt)
                if span is None:
                    assert delay is None
                else:
                    assert delay is not None
                    assert Duration.seconds(span[0]) <= delay <= Duration.seconds(span[1])


def test_durations() -> None:
    """Units, arithmetic, order, hash; equal to a ``timedelta`` of the same length."""
    assert Duration.minutes(1).to_seconds() == 60
    assert Duration.weeks(1) == Duration.days(7) == timedelta(days=7)
    assert (Duration.months(1), Duration.years(1)) == (Duration.days(30), Duration.days(365))
    assert Duration.seconds(90) + Duration.minutes(1) - Duration.seconds(30) == Duration.minutes(2)
    assert Duration.hours(1) * 2 == Duration.hours(2)
    assert Duration.seconds(1) < timedelta(seconds=2) <= Duration.seconds(2)
    assert {Duration.days(1): 1}[Duration.hours(24)] == 1
    assert max(Duration.days(1), Duration.seconds(1)) == Duration.days(1)


def test_branches_take_arguments_and_a_name() -> None:
    """``Branch(fn, *args, name=)``."""
    parameters = inspect.signature(Branch).parameters
    assert [p.kind for p in parameters.values()] == [
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.KEYWORD_ONLY,
    ]
    assert list(parameters) == ["fn", "args", "name"]
