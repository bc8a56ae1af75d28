from __future__ import annotations

from typing import Any

import pytest
import trio

from durable_trio import (
    DurableContext,
    Duration,
    InvokeError,
    SerDesError,
    ValidationError,
    durable_execution,
)
from durable_trio.testing import FunctionHandle, RunnerFactory


@durable_execution
async def caller(event: Any, ctx: DurableContext) -> Any:
    """Call the function "price" with each item of the event."""
    prices = []
    for item in event:
        try:
            prices.append(await ctx.invoke("price", {"item": item}))
        except InvokeError as error:
            prices.append(f"{error.error_type}: {error}")
    return prices


async def test_plain_functions_are_called_as_lambda_calls_them(durable_runner: RunnerFactory) -> None:
    """With the event alone or with the Lambda context; plain ones in a thread, async ones as they are."""

    async def with_context(event: dict[str, Any], context: Any) -> list[Any]:
        await trio.sleep(60)
        return [event["item"], context.function_name]

    for function, expected in [
        (lambda event: event["item"].upper(), ["PEN"]),
        (with_context, [["pen", "price"]]),
    ]:
        run = await durable_runner.run(caller, ["pen"], functions={"price": function})
        assert run.result == expected


async def test_durable_handlers_run_as_executions_of_their_own(durable_runner: RunnerFactory) -> None:
    """Their waits are virtual as well, and their payloads are kept once an execution."""

    @durable_execution
    async def price(event: dict[str, Any], ctx: DurableContext) -> int:
        await ctx.wait(Duration.days(10))
        return len(event["item"])

    async with durable_runner(caller, functions={"price": price}) as runner:
        run = await runner.run(["pen", "paper"])
        called = runner.function("price")

    assert run.result == [3, 5]
    assert run.duration_seconds is not None
    assert run.duration_seconds >= 20 * 86_400
    assert called.payloads == [{"item": "pen"}, {"item": "paper"}]
    assert called.call_count == 2


async def test_answers_are_scripted(durable_runner: RunnerFactory) -> None:
    """One answer after the other, the last one for ever; before the run or during it."""
    async with durable_runner(caller) as runner:
        price = runner.function("price").returns(1, 2)
        assert (await runner.run(["a", "b", "c"])).result == [1, 2, 2]

        price.raises(ValueError("no such item"))
        assert (await runner.run(["d"])).result == ["ValueError: no such item"]

        price.times_out()
        (answer,) = (await runner.run(["e"])).result
        assert answer.startswith("Sandbox.Timedout: Task timed out")

    assert price.payloads == [{"item": item} for item in "abcde"]
    assert repr(price) == "<FunctionHandle 'price', called 5 times>"


async def test_an_error_of_a_function_is_reported_by_type_and_message(durable_runner: RunnerFactory) -> None:
    """As Lambda reports what a function raises."""

    def price(event: Any) -> None:
        raise KeyError("price list")

    run = await durable_runner.run(caller, ["pen"], functions={"price": price})

    assert run.result == ["KeyError: 'price list'"]


async def test_a_function_without_a_script_says_so(durable_runner: RunnerFactory) -> None:
    """Taking a handle makes the name known; what it answers has to be said."""
    async with durable_runner(caller) as runner:
        runner.function("price")
        (answer,) = (await runner.run(["pen"])).result

    assert "has not been told what to answer" in answer


async def test_an_unknown_function_is_refused_as_at_the_service(durable_runner: RunnerFactory) -> None:
    """A name that nobody has given a function is one that does not exist."""
    (answer,) = (await durable_runner.run(caller, ["pen"])).result

    assert answer.startswith("ResourceNotFoundException")


async def test_an_answer_that_is_no_json_fails_the_call(durable_runner: RunnerFactory) -> None:
    """What a function returns has to be JSON, as on Lambda."""
    (answer,) = (
        await durable_runner.run(caller, ["pen"], functions={"price": lambda event: object()})
    ).result

    assert answer.startswith("Runtime.MarshalError")


def test_wrong_scripts_are_refused_at_once() -> None:
    """An empty script, no JSON, and a script for a function that answers for itself."""
    function = FunctionHandle("price")
    with pytest.raises(ValidationError, match="at least one value"):
        function.returns()
    with pytest.raises(ValidationError, match="at least one error"):
        function.raises()
    with pytest.raises(SerDesError):
        function.returns(object())
    with pytest.raises(ValidationError, match="answers for itself"):
        FunctionHandle("price", caller).returns(1)
