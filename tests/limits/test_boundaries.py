"""The service's limits at limit - 1, limit and limit + 1: what the local service takes, and what it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from protocol.service_side import STEP, Service, started_service, update

from durable_trio._protocol import limits
from durable_trio._protocol.checkpoint_rules import check_members
from durable_trio._protocol.envelope import Succeeded, response_fits
from durable_trio._protocol.operation import (
    CallbackOptions,
    ChainedInvokeOptions,
    ErrorObject,
    OperationAction,
    OperationType,
    OperationUpdate,
    StepOptions,
    WaitOptions,
)
from durable_trio._protocol.refusals import RefusedError
from durable_trio._protocol.service_moves import fail_callback, stop, succeed_callback
from durable_trio._protocol.wire import encode_error
from durable_trio.exceptions import ValidationError
from durable_trio.local import (
    InvalidParameterValue,
    LocalSettings,
    open_local_service,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio.testing import MockClock

DAY = 86_400
YEAR_AND_A_DAY = 31_622_400
MIB = 1_048_576

START, SUCCEED, FAIL, RETRY = (
    OperationAction.START,
    OperationAction.SUCCEED,
    OperationAction.FAIL,
    OperationAction.RETRY,
)
EXECUTION, CONTEXT, WAIT, CALLBACK, CHAINED_INVOKE = (
    OperationType.EXECUTION,
    OperationType.CONTEXT,
    OperationType.WAIT,
    OperationType.CALLBACK,
    OperationType.CHAINED_INVOKE,
)


def error_of(size: int) -> ErrorObject:
    """Return an error that takes *size* bytes as JSON."""
    rest = len(json.dumps(encode_error(ErrorObject(message="", type="E"))))
    return ErrorObject(message="m" * (size - rest), type="E")


def around(least: int | None, most: int) -> list[tuple[int, bool]]:
    """Return the values next to the ends of a range, each with whether it is in it; *least* None: no lower end."""
    values = {most - 1, most, most + 1}
    if least is not None:
        values |= {least - 1, least, least + 1}
    return [(value, (least is None or least <= value) and value <= most) for value in sorted(values)]


def cases(*rows: tuple[str, int | None, int, Callable[[int], Any]]) -> list[Any]:
    """Return a row for each value around each limit: what is made of the value, and whether it is allowed."""
    return [
        pytest.param(make, value, allowed, id=f"{what}={value}")
        for what, least, most, make in rows
        for value, allowed in around(least, most)
    ]


# --- one update ------------------------------------------------------------------------------------------


def payload(size: int, type_: OperationType, action: OperationAction) -> OperationUpdate:
    """Return an update whose payload has *size* bytes, in characters of two bytes as far as possible."""
    return update(type_, action, payload="é" * (size // 2) + "e" * (size % 2))


@pytest.mark.parametrize(
    ("make", "value", "allowed"),
    cases(
        ("length of Id", 1, 64, lambda n: update(STEP, START, "i" * n)),
        ("length of ParentId", 1, 64, lambda n: update(STEP, START, parent="p" * n)),
        ("length of Name", 1, 256, lambda n: update(STEP, START, name="n" * n)),
        ("length of SubType", 1, 32, lambda n: OperationUpdate("op", STEP, START, sub_type="s" * n)),
        ("step payload", None, 6 * MIB, lambda n: payload(n, STEP, SUCCEED)),
        ("context payload", None, 6 * MIB, lambda n: payload(n, CONTEXT, SUCCEED)),
        ("execution payload", None, 6 * MIB, lambda n: payload(n, EXECUTION, SUCCEED)),
        ("error", None, 32_768, lambda n: update(STEP, FAIL, error=error_of(n))),
        (
            "NextAttemptDelaySeconds",
            1,
            YEAR_AND_A_DAY,
            lambda n: update(STEP, RETRY, error=ErrorObject("m", "E"), options=StepOptions(n)),
        ),
        ("WaitSeconds", 1, YEAR_AND_A_DAY, lambda n: update(WAIT, START, options=WaitOptions(n))),
        ("TimeoutSeconds", 0, 99_999_999, lambda n: update(CALLBACK, START, options=CallbackOptions(n, 0))),
        (
            "HeartbeatTimeoutSeconds",
            0,
            99_999_999,
            lambda n: update(CALLBACK, START, options=CallbackOptions(0, n)),
        ),
        (
            "length of FunctionName",
            1,
            256,
            lambda n: update(CHAINED_INVOKE, START, options=ChainedInvokeOptions("f" * n)),
        ),
        (
            "length of TenantId",
            1,
            256,
            lambda n: update(CHAINED_INVOKE, START, options=ChainedInvokeOptions("f", "t" * n)),
        ),
    ),
)
def test_members_of_an_update(make: Callable[[int], OperationUpdate], value: int, allowed: bool) -> None:
    """A member is taken up to its limit, and one step beyond it the whole update is refused."""
    if allowed:
        check_members(make(value))
    else:
        with pytest.raises(RefusedError):
            check_members(make(value))


@pytest.mark.parametrize("text", ["a b", "ä", "a\n", "a/b"])
def test_characters_of_an_id(text: str) -> None:
    """Ids, parents and subtypes are letters, digits, hyphens and underscores."""
    for bad in (
        update(STEP, START, text),
        update(STEP, START, parent=text),
        OperationUpdate("op", STEP, START, sub_type=text),
    ):
        with pytest.raises(RefusedError, match=r"\[a-zA-Z0-9-_\]"):
            check_members(bad)


@pytest.mark.parametrize(("text", "allowed"), [(" ", True), ("~", True), ("\x1f", False), ("\x7f", False)])
def test_characters_of_a_name(text: str, allowed: bool) -> None:
    """Names are printable ASCII."""
    if allowed:
        check_members(update(STEP, START, name=text))
    else:
        with pytest.raises(RefusedError, match="printable ASCII"):
            check_members(update(STEP, START, name=text))


# --- one request -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "allowed"), around(1, 64))
def test_length_of_a_client_token(length: int, allowed: bool) -> None:
    """A client token has 1 to 64 characters."""
    service = started_service()
    if allowed:
        service.checkpoint(client_token="c" * length)
    else:
        with pytest.raises(RefusedError, match="1 to 64"):
            service.checkpoint(client_token="c" * length)


@pytest.mark.parametrize("length", [2_047, 2_048, 2_049])
def test_length_of_a_checkpoint_token(length: int) -> None:
    """A token of any length that this service did not give is an invalid one: invoke again, do not fail."""
    with pytest.raises(RefusedError, match=r"^Invalid checkpoint token"):
        started_service().checkpoint(token="t" * length)


@pytest.mark.parametrize("count", [249, 250, 251, 1_000])
def test_updates_of_a_request(count: int) -> None:
    """The service sets no limit to the number of updates: 250 is what SDKs keep to."""
    service = started_service(*(update(STEP, START, f"op-{number}") for number in range(count)))
    assert len(list(service.record.entries())) == 1 + count


def test_a_repeated_request_is_recognized_for_15_minutes() -> None:
    """At 15 minutes a request is answered again, a millisecond later its token is spent."""
    service = started_service()
    spent = service.token
    first = service.checkpoint(token=spent, client_token="once")
    service.advance(15 * 60)
    assert service.checkpoint(token=spent, client_token="once").token == first.token
    service.advance(0.001)
    with pytest.raises(RefusedError, match=r"^Invalid checkpoint token"):
        service.checkpoint(token=spent, client_token="once")


# --- answers and ends ------------------------------------------------------------------------------------


def _with_callback() -> Service:
    return started_service(update(CALLBACK, START, options=CallbackOptions(0, 0)))


@pytest.mark.parametrize(("size", "allowed"), [(MIB - 1, True), (MIB, True), (MIB + 1, False)])
@pytest.mark.parametrize(
    "answer",
    [
        lambda service, n: succeed_callback(
            service.record, "op", "é" * (n // 2) + "e" * (n % 2), service.now
        ),
        lambda service, n: fail_callback(service.record, "op", error_of(n), service.now),
        lambda service, n: stop(service.record, error_of(n), service.now),
    ],
    ids=["callback result", "callback error", "stop error"],
)
def test_what_the_outside_world_sends(
    answer: Callable[[Service, int], None], size: int, allowed: bool
) -> None:
    """An answer to a callback, and the error of a stop, have at most 1 MiB, in bytes."""
    service = _with_callback()
    if allowed:
        answer(service, size)
    else:
        with pytest.raises(RefusedError, match=str(MIB)):
            answer(service, size)


@pytest.mark.parametrize(("excess", "fits"), [(-1, True), (0, True), (1, False)])
@pytest.mark.parametrize("character", ["x", '"', "é"])
def test_size_of_a_response(excess: int, fits: bool, character: str) -> None:
    """A response has at most 6 MiB less 50 bytes as it is encoded: quotes and accents take more room."""
    room = 6 * MIB - 50 + excess - len(json.dumps({"Status": "SUCCEEDED", "Result": ""}))
    width = len(json.dumps(character)) - 2
    result = character * (room // width) + "x" * (room % width)
    assert response_fits(Succeeded(result)) is fits


# --- executions ------------------------------------------------------------------------------------------


async def _answers(event: Any, lambda_context: Any, /, *, client: Any) -> Any:
    return {"Status": "SUCCEEDED", "Result": "1"}


async def _refuses(call: Callable[[], Awaitable[object]]) -> bool:
    try:
        await call()
    except InvalidParameterValue:
        return True
    return False


@pytest.mark.parametrize(
    ("make", "value", "allowed"),
    cases(
        ("length of name", 1, 64, lambda n: {"name": "n" * n}),
        ("execution_timeout_seconds", 1, YEAR_AND_A_DAY, lambda n: {"execution_timeout_seconds": n}),
        ("retention_days", 1, 90, lambda n: {"retention_days": n}),
        ("bytes of input", None, 6 * MIB, lambda n: {"input_payload": "é" * (n // 2) + "e" * (n % 2)}),
    ),
)
async def test_arguments_of_an_execution(
    make: Callable[[int], dict[str, Any]], value: int, allowed: bool, autojump_clock: MockClock
) -> None:
    """An execution is started with arguments up to their limits, and not beyond."""
    arguments: dict[str, Any] = {"input_payload": "1"} | make(value)
    async with open_local_service() as service:
        service.register("f", _answers)
        assert await _refuses(lambda: service.start_execution("f", **arguments)) is not allowed


@pytest.mark.parametrize(("length", "allowed"), around(1, 64))
async def test_length_of_a_function_name(length: int, allowed: bool) -> None:
    """A function's name has 1 to 64 characters."""
    async with open_local_service() as service:
        if allowed:
            service.register("f" * length, _answers)
        else:
            with pytest.raises(ValidationError, match="1 to 64"):
                service.register("f" * length, _answers)


# --- pages -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "allowed"), around(1, 1_000))
def test_size_of_the_first_page(size: int, allowed: bool) -> None:
    """An invocation is called with pages of 1 to 1000 operations."""
    if allowed:
        LocalSettings(page_operations=size)
    else:
        with pytest.raises(ValidationError, match="page_operations"):
            LocalSettings(page_operations=size)


@pytest.mark.parametrize(
    ("asked", "given"), [(-1, None), (0, 100), (1, 1), (100, 100), (999, 999), (1_000, 1_000), (1_001, None)]
)
async def test_size_of_every_other_page(asked: int, given: int | None, autojump_clock: MockClock) -> None:
    """State, history and lists come in pages of 0 (that is 100) to 1000; anything else is refused."""
    operations = [update(STEP, START, f"op-{number}") for number in range(1_000)]
    seen: list[int | None] = []

    async def function(event: Any, lambda_context: Any, /, *, client: Any) -> Any:
        arn = event["DurableExecutionArn"]
        answer = await client.checkpoint(
            durable_execution_arn=arn,
            checkpoint_token=event["CheckpointToken"],
            updates=operations,
            client_token="c",
        )

        async def state() -> int:
            page = await service.get_state(
                durable_execution_arn=arn,
                checkpoint_token=answer.checkpoint_token,
                marker="",
                max_items=asked,
            )
            return len(page.operations)

        async def history() -> int:
            return len((await service.history(arn, limit=asked)).items)

        seen.extend([await _length(state), await _length(history)])
        return {"Status": "SUCCEEDED", "Result": "1"}

    async def _length(call: Callable[[], Awaitable[int]]) -> int | None:
        try:
            return await call()
        except InvalidParameterValue:
            return None

    async with open_local_service() as service:
        service.register("f", function)
        started = await service.start_execution("f", "1")
        await service.wait_closed(started.arn)
        assert await _refuses(lambda: service.list_executions(limit=asked)) is (given is None)
    assert seen == [given, given]


def test_the_limits_of_these_tables_are_those_of_the_code() -> None:
    """The numbers above are written out on purpose; here they are compared with the code's."""
    assert limits.MAX_PAYLOAD_BYTES == 6 * MIB
    assert limits.MAX_ERROR_BYTES == 32_768
    assert limits.MAX_CALLBACK_RESULT_BYTES == MIB
    assert limits.MAX_RESPONSE_BYTES == 6 * MIB - 50
    assert limits.MAX_DELAY_SECONDS == limits.MAX_EXECUTION_TIMEOUT_SECONDS == YEAR_AND_A_DAY == 366 * DAY
    assert limits.MAX_CALLBACK_TIMEOUT_SECONDS == 99_999_999
    assert (limits.DEFAULT_PAGE_SIZE, limits.MAX_PAGE_SIZE) == (100, 1_000)
    assert limits.CLIENT_TOKEN_WINDOW_SECONDS == 15 * 60
