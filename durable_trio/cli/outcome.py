"""The end of an execution as the user sees it: the last lines of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.text import Text

from durable_trio.cli.json_text import readable_json
from durable_trio.cli.outline import error_text, span_text
from durable_trio.cli.render import status_text

if TYPE_CHECKING:
    from rich.console import Console

    from durable_trio.cli.tree import OperationTree
    from durable_trio.local import ExecutionDescription


def print_outcome(
    console: Console, execution: ExecutionDescription, tree: OperationTree, *, is_plain: bool
) -> None:
    """Say how an execution ended: in colour, or as lines that other programs can find."""
    if is_plain:
        _print_plainly(execution, to_stderr=console.stderr)
        return
    console.print()
    line = Text.assemble(status_text(execution.status.value), f"  {execution.name}")
    if execution.ended_at is not None:
        took = span_text(execution.ended_at - execution.started_at)
        line.append(
            f"  in {took}, {execution.invocation_count} invocations, {tree.count} operations", style="dim"
        )
    console.print(line)
    if execution.result is not None:
        console.print(Text(readable_json(execution.result)))
    if execution.error is not None:
        console.print(Text(error_text(execution.error), style="red"))
        if execution.error.stack:
            console.print(Text("".join(execution.error.stack).rstrip(), style="dim"))


def _print_plainly(execution: ExecutionDescription, *, to_stderr: bool) -> None:
    click.echo(f"execution {execution.name} {execution.status.value}", err=to_stderr)
    if execution.result is not None:
        click.echo(f"result {one_line(execution.result)}", err=to_stderr)
    if execution.error is not None:
        click.echo(f"error {error_text(execution.error)}", err=to_stderr)
        for entry in execution.error.stack:
            for line in entry.splitlines():
                click.echo(f"error stack {line}", err=to_stderr)


def one_line(text: str) -> str:
    """Return *text* without line breaks."""
    return " ".join(text.split("\n"))
