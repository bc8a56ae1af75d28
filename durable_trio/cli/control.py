"""Having a say in executions: ``stop``, ``pause``, ``resume``, ``delete``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from durable_trio._protocol.operation import ErrorObject
from durable_trio.cli.json_text import document
from durable_trio.cli.options import error_options, json_option
from durable_trio.cli.place import place_option

if TYPE_CHECKING:
    from durable_trio.cli.place import Place
    from durable_trio.cli.service import ExecutionService, Members


@click.command()
@click.argument("execution", metavar="EXECUTION")
@error_options
@json_option
@place_option
def stop(
    execution: str, error_type: str | None, error_message: str | None, as_json: bool, place: Place
) -> None:
    """Stop an execution for good.

    EXECUTION is its name or its ARN; in a file its id will do as well. One that is over already is left as it
    is.

    \b
    Example:
      durable-trio stop demo --error-message 'wrong input'
    """
    given = error_type is not None or error_message is not None
    error = ErrorObject(type=error_type, message=error_message) if given else None

    async def write(service: ExecutionService) -> tuple[Members, Members]:
        arn = (await service.describe(execution))["DurableExecutionArn"]
        return await service.stop(arn, error), await service.describe(arn)

    _say(as_json, *place.ask(write))


@click.command()
@click.argument("execution", metavar="EXECUTION")
@click.option("--reason", metavar="TEXT", help="Why; it is kept in the history.")
@click.option("--keep-timeout", is_flag=True, help="Let the execution's time limit run on meanwhile.")
@json_option
@place_option
def pause(execution: str, reason: str | None, keep_timeout: bool, as_json: bool, place: Place) -> None:
    """Have an execution's function not invoked any more, until it is resumed.

    An invocation that runs goes on to its next checkpoint. Waits and callbacks still end meanwhile.

    \b
    Example:
      durable-trio pause demo --reason 'the bank is closed'
    """

    async def write(service: ExecutionService) -> tuple[Members, Members]:
        arn = (await service.describe(execution))["DurableExecutionArn"]
        await service.pause(arn, reason=reason, pause_timeout=not keep_timeout)
        return {}, await service.describe(arn)

    _say(as_json, *place.ask(write))


@click.command()
@click.argument("execution", metavar="EXECUTION")
@click.option("--reason", metavar="TEXT", help="Why; it is kept in the history.")
@json_option
@place_option
def resume(execution: str, reason: str | None, as_json: bool, place: Place) -> None:
    """Go on with an execution that was paused.

    (One that was interrupted, by Ctrl-C for example, goes on with durable-trio run --name.)

    \b
    Example:
      durable-trio resume demo
    """

    async def write(service: ExecutionService) -> tuple[Members, Members]:
        arn = (await service.describe(execution))["DurableExecutionArn"]
        await service.resume(arn, reason=reason)
        return {}, await service.describe(arn)

    _say(as_json, *place.ask(write))


@click.command()
@click.argument("execution", metavar="EXECUTION")
@json_option
@place_option
def delete(execution: str, as_json: bool, place: Place) -> None:
    """Delete an execution that is over, with its history.

    \b
    Example:
      durable-trio delete demo
    """

    async def write(service: ExecutionService) -> tuple[Members, str]:
        description = await service.describe(execution)
        answer = await service.delete(description["DurableExecutionArn"])
        return answer, description["DurableExecutionName"]

    answer, name = place.ask(write)
    click.echo(document(answer) if as_json else f"execution {name} deleted")


def _say(as_json: bool, answer: Members, description: Members) -> None:
    if as_json:
        click.echo(document(answer))
    else:
        click.echo(f"execution {description['DurableExecutionName']} {description['Status']}")
