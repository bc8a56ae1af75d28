"""``durable-trio invoke``: call a function of an endpoint, as ``aws lambda invoke`` does."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from durable_trio.cli.errors import EXIT_FAILED, UserError
from durable_trio.cli.json_text import document, readable_json
from durable_trio.cli.options import json_option, read_payload
from durable_trio.cli.place import place_option
from durable_trio.cli.service import Invoked, InvokeRequest

if TYPE_CHECKING:
    from durable_trio.cli.place import Place


@click.command()
@click.argument("function", metavar="FUNCTION")
@click.option("--input", "input_path", metavar="FILE", help="A JSON file with the input; - is stdin.")
@click.option("--input-json", metavar="JSON", help="The input itself. Without any, it is {}.")
@click.option("--name", help="The execution's name. The same name and input again is the same execution.")
@click.option("--event", "is_event", is_flag=True, help="Start it, and do not wait for its end.")
@click.option("--dry-run", is_flag=True, help="Only look whether the function could be invoked.")
@click.option("--qualifier", metavar="VERSION", help="A version or an alias of the function.")
@click.option("--tenant-id", metavar="ID", help="The tenant, for a function that has tenants.")
@json_option
@place_option
def invoke(
    function: str,
    input_path: str | None,
    input_json: str | None,
    name: str | None,
    is_event: bool,
    dry_run: bool,
    qualifier: str | None,
    tenant_id: str | None,
    as_json: bool,
    place: Place,
) -> None:
    """Invoke a function at an endpoint.

    FUNCTION is its name or its ARN. Without --event, this waits for the end: 15 minutes at most.

    \b
    Examples:
      durable-trio invoke orders --name order-17 --input order.json --endpoint-url http://127.0.0.1:9014
      durable-trio invoke orders --aws --event
    """
    if is_event and dry_run:
        raise UserError("--event and --dry-run are two ways to invoke; give one of them")
    request = InvokeRequest(
        function_name=function,
        payload=read_payload(input_path, input_json) or "{}",
        how="DryRun" if dry_run else "Event" if is_event else "RequestResponse",
        name=name,
        tenant_id=tenant_id,
        qualifier=qualifier,
    )
    invoked = place.ask(lambda service: service.invoke(request))
    if as_json:
        click.echo(document(_members(invoked)))
    else:
        _print(invoked, function)
    if invoked.function_error is not None:
        sys.exit(EXIT_FAILED)


def _members(invoked: Invoked) -> dict[str, Any]:
    members: dict[str, Any] = {"StatusCode": invoked.status_code}
    if invoked.arn is not None:
        members["DurableExecutionArn"] = invoked.arn
    if invoked.function_error is not None:
        members["FunctionError"] = invoked.function_error
    if invoked.payload:
        members["Payload"] = invoked.payload
    return members


def _print(invoked: Invoked, function: str) -> None:
    if invoked.arn is not None:
        click.echo(f"execution {invoked.arn}", err=True)
    if invoked.function_error is not None:
        click.echo(f"the function failed ({invoked.function_error})", err=True)
    if invoked.payload:
        click.echo(readable_json(invoked.payload))
    elif invoked.status_code == 204:
        click.echo(f"function {function} can be invoked", err=True)
