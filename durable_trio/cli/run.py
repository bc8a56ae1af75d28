"""``durable-trio run``: drive an execution of a handler to its end."""

from __future__ import annotations

import contextlib
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

import click
import trio

from durable_trio.cli.answers import Answers
from durable_trio.cli.drive import Interruption, RunRequest, drive
from durable_trio.cli.errors import EXIT_FAILED
from durable_trio.cli.json_text import document
from durable_trio.cli.loading import HandlerReference, load_target
from durable_trio.cli.options import database_option, json_option, parse_seconds, read_payload
from durable_trio.local import ExecutionStatus
from durable_trio.local.documents import description_document

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("handler", metavar="HANDLER")
@click.option("--input", "input_path", metavar="FILE", help="A JSON file with the input; - is stdin.")
@click.option("--input-json", metavar="JSON", help="The input itself. Without any, it is {}.")
@click.option("--name", help="The execution's name. The same name again resumes it, or shows its result.")
@click.option(
    "--answer",
    "answer_texts",
    multiple=True,
    metavar="NAME=JSON",
    help="Answer callbacks called NAME with JSON, or fail them with NAME=!fail:MESSAGE. May be repeated.",
)
@click.option(
    "--timeout", metavar="SPAN", help="How long a new execution may take in all: 90s, 15m, 2h, 30d."
)
@click.option("--plain", "is_plain", is_flag=True, help="Lines of text, also on a terminal.")
@json_option
@database_option
def run(
    handler: str,
    input_path: str | None,
    input_json: str | None,
    name: str | None,
    answer_texts: tuple[str, ...],
    timeout: str | None,
    is_plain: bool,
    as_json: bool,
    db: Path,
) -> None:
    """Run a handler on the local service.

    HANDLER is file.py:handler or package.module:handler. What it does is kept in the database: after Ctrl-C, a crash or kill -9, run it again with the same name
    and it goes on where it was.

    \b
    Example:
      durable-trio run examples/order_fulfilment.py:handler --name demo \\
          --input examples/data/orders.json --answer approval='{"approved": true, "by": "you"}'
    """
    payload = read_payload(input_path, input_json)
    answers = Answers.parse(answer_texts)
    timeout_seconds = None if timeout is None else parse_seconds(timeout, "--timeout")
    interruption = Interruption()
    with contextlib.ExitStack() as stack:
        if as_json:
            # From here on the handler may print; stdout is for the document.
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        reference = HandlerReference.parse(handler)
        request = RunRequest(
            reference=reference,
            target=load_target(reference),
            db=db,
            name=name,
            payload=payload,
            answers=answers,
            answer_texts=answer_texts,
            timeout_seconds=timeout_seconds,
            as_json=as_json,
            is_plain=is_plain,
        )
        description = trio.run(drive, request, interruption)
    if description is None:
        _exit_interrupted(request, interruption)
    if as_json:
        click.echo(document(description_document(description)))
    if description.status is not ExecutionStatus.SUCCEEDED:
        sys.exit(EXIT_FAILED)


def _exit_interrupted(request: RunRequest, interruption: Interruption) -> NoReturn:
    if interruption.execution_name is not None:
        how = request.command_to_resume(interruption.execution_name)
        click.echo(f"Interrupted. Nothing recorded is lost; resume with: {how}", err=True)
    sys.exit(128 + (interruption.signal_number or signal.SIGINT))
