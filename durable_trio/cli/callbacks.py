"""Answering callbacks: ``callback succeed``, ``callback fail``, ``callback heartbeat``.

A callback is named by its id, which the handler hands to whoever has to answer; or, for humans, by the
execution it belongs to and its name there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from durable_trio._protocol.operation import ErrorObject
from durable_trio.cli.answers import FAILURE_TYPE
from durable_trio.cli.errors import NotFoundError, UserError
from durable_trio.cli.json_text import compact_json, document
from durable_trio.cli.options import error_options, json_option
from durable_trio.cli.place import place_option
from durable_trio.cli.tree import OperationTree, callback_id, callback_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio.cli.place import Place
    from durable_trio.cli.service import ExecutionService

CommandT = TypeVar("CommandT", bound="Callable[..., Any]")


@click.group()
def callback() -> None:
    """Answer a callback that an execution waits for.

    \b
    Examples:
      durable-trio callback succeed CALLBACK_ID --result '{"approved": true}'
      durable-trio callback fail --execution demo --callback approval --error-message 'not today'
    """


def _callback_options(command: CommandT) -> CommandT:
    """Add what names a callback, and the options that every command has."""
    for decorate in (
        place_option,
        json_option,
        click.option("--callback", "name", metavar="NAME", help="The callback's name, with --execution."),
        click.option("--execution", metavar="EXECUTION", help="Name, id or ARN, in place of CALLBACK_ID."),
        click.argument("id_", metavar="[CALLBACK_ID]", required=False),
    ):
        command = decorate(command)
    return command


@callback.command()
@click.option("--result", metavar="JSON", help="What the handler gets. Without it, it gets None.")
@_callback_options
def succeed(
    result: str | None, id_: str | None, execution: str | None, name: str | None, as_json: bool, place: Place
) -> None:
    """Answer a callback with a result.

    \b
    Example:
      durable-trio callback succeed --execution demo --callback approval --result '{"approved": true}'
    """
    payload = None if result is None else compact_json(result, "--result")
    _send(
        place,
        id_,
        execution,
        name,
        as_json,
        "succeeded",
        lambda service, id_: service.callback_succeed(id_, payload),
    )


@callback.command()
@error_options
@_callback_options
def fail(
    error_type: str | None,
    error_message: str | None,
    id_: str | None,
    execution: str | None,
    name: str | None,
    as_json: bool,
    place: Place,
) -> None:
    """Answer a callback with a failure.

    \b
    Example:
      durable-trio callback fail CALLBACK_ID --error-type Refused --error-message 'not today'
    """
    error = ErrorObject(type=error_type or FAILURE_TYPE, message=error_message)
    _send(
        place, id_, execution, name, as_json, "failed", lambda service, id_: service.callback_fail(id_, error)
    )


@callback.command()
@_callback_options
def heartbeat(id_: str | None, execution: str | None, name: str | None, as_json: bool, place: Place) -> None:
    """Say that a callback's answer is still being worked on, which starts its heartbeat timeout afresh.

    \b
    Example:
      durable-trio callback heartbeat CALLBACK_ID
    """
    _send(
        place, id_, execution, name, as_json, "is alive", lambda service, id_: service.callback_heartbeat(id_)
    )


def _send(
    place: Place,
    id_: str | None,
    execution: str | None,
    name: str | None,
    as_json: bool,
    happened: str,
    send: Callable[[ExecutionService, str], Awaitable[None]],
) -> None:
    if (id_ is None) == (execution is None):
        raise UserError("name the callback by its id, or by --execution and --callback")
    if name is not None and execution is None:
        raise UserError("--callback is a name within an execution; give --execution too")

    async def write(service: ExecutionService) -> str:
        found = id_ if id_ is not None else await _find(service, str(execution), name)
        await send(service, found)
        return found

    found = place.ask(write)
    click.echo(document({}) if as_json else f"callback {found} {happened}")


async def _find(service: ExecutionService, execution: str, name: str | None) -> str:
    """Return the id of the open callback called *name*, or of the only one if no name is given."""
    inspection = await service.inspect(execution)
    tree = OperationTree()
    for record in inspection.operations:
        tree.apply(record)
    open_callbacks = list(tree.open_callbacks.values())
    found = [node for node in open_callbacks if name is None or callback_name(node) == name]
    what = f"execution {inspection.description['DurableExecutionName']}"
    if not found:
        names = ", ".join(sorted({callback_name(node) for node in open_callbacks}))
        waits_for = f"it waits for {names}" if names else "it waits for none"
        raise NotFoundError(f"{what} has no open callback{f' called {name}' if name else ''}; {waits_for}")
    if len(found) > 1:
        ids = ", ".join(f"{callback_name(node)} {callback_id(node)}" for node in found)
        raise UserError(f"{what} has {len(found)} such callbacks; name one by its id: {ids}")
    id_ = callback_id(found[0])
    if id_ is None:
        raise NotFoundError(f"callback {callback_name(found[0])} of {what} has no id yet")
    return id_
