"""Driving an execution from the command line: find or start it, watch it, until it is over or interrupted."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click
import trio
from rich.console import Console

from durable_trio.cli.errors import UserError
from durable_trio.cli.follow import Follower, View
from durable_trio.cli.live import LiveView
from durable_trio.cli.options import command_line
from durable_trio.cli.outcome import print_outcome
from durable_trio.cli.plain import PlainView
from durable_trio.cli.tree import OperationTree
from durable_trio.local import open_local_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from durable_trio.cli.answers import Answers
    from durable_trio.cli.loading import HandlerReference
    from durable_trio.local import ExecutionDescription, ExecutionSummary, FunctionTarget, LocalService

_WATCH_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the user asked for; *payload* is None if no input was given."""

    reference: HandlerReference
    target: FunctionTarget
    db: Path
    name: str | None
    payload: str | None
    answers: Answers
    answer_texts: tuple[str, ...]
    timeout_seconds: int | None
    as_json: bool
    is_plain: bool

    def command_to_resume(self, name: str) -> str:
        """Return the command that goes on with the execution *name*."""
        source = f"{self.reference.source}:{self.reference.attribute}"
        answers = [word for text in self.answer_texts for word in ("--answer", text)]
        return command_line("run", source, "--name", name, *answers, db=self.db)


@dataclass(slots=True)
class Interruption:
    """The signal that ended the run, and the execution that it interrupted, once there are such."""

    signal_number: int | None = None
    execution_name: str | None = None


async def drive(request: RunRequest, interruption: Interruption) -> ExecutionDescription | None:
    """Drive the execution; None if a signal came first."""
    async with (
        _until_signal(interruption),
        open_local_service(request.db, watch_seconds=_WATCH_SECONDS) as service,
    ):
        service.register(request.reference.function_name, request.target)
        summary, is_new = await _find_or_start(service, request)
        interruption.execution_name = summary.name
        tree = OperationTree()
        async with _view(request, service, tree, summary) as view:
            if not summary.status.is_closed:
                how = "started" if is_new else "resumed"
                view.note(
                    f"execution {summary.name} {how}; resume it with: {request.command_to_resume(summary.name)}"
                )
            follower = Follower(
                service,
                tree,
                view,
                request.answers,
                lambda id_: command_line("callback", "succeed", id_, "--result", "JSON", db=request.db),
            )
            description = await follower.follow(summary.arn, is_new=is_new)
        print_outcome(_console(request), description, tree, is_plain=_is_plain(request))
        for name in request.answers.unused:
            click.echo(f"Warning: --answer {name}: no callback of that name was waiting", err=True)
        return description
    return None


@contextlib.asynccontextmanager
async def _until_signal(interruption: Interruption) -> AsyncIterator[None]:
    """Cancel what is inside at the first Ctrl-C or SIGTERM; the second kills, which loses nothing either."""

    async def watch(scope: trio.CancelScope) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            interruption.signal_number = await anext(signals)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, nursery.cancel_scope)
        yield
        nursery.cancel_scope.cancel()


async def _find_or_start(service: LocalService, request: RunRequest) -> tuple[ExecutionSummary, bool]:
    """Return the execution, and whether it is new."""
    function_name = request.reference.function_name
    if request.name is not None:
        page = await service.list_executions(function_name=function_name, name=request.name)
        if page.items:
            await _check_same(await service.describe(page.items[0].arn), request)
            if page.items[0].status.is_closed:
                return page.items[0], False
            return await service.take_over(page.items[0].arn), False
    summary = await service.start_execution(
        function_name,
        request.payload or "{}",
        name=request.name,
        execution_timeout_seconds=request.timeout_seconds,
    )
    return summary, True


async def _check_same(existing: ExecutionDescription, request: RunRequest) -> None:
    """Refuse options that say something else than what the existing execution was started with."""
    if request.payload is not None and request.payload != existing.input_payload:
        raise UserError(
            f"execution {existing.name} was started with another input; "
            "leave --input out to resume it, or give the new one another --name"
        )
    if request.timeout_seconds not in {None, existing.execution_timeout_seconds}:
        raise UserError(
            f"execution {existing.name} was started with a time limit of {existing.execution_timeout_seconds} s, "
            "which --timeout cannot change"
        )


def _console(request: RunRequest) -> Console:
    return Console(stderr=request.as_json, highlight=False)


def _is_plain(request: RunRequest) -> bool:
    console = _console(request)
    return request.is_plain or not console.is_terminal or console.is_dumb_terminal


@contextlib.asynccontextmanager
async def _view(
    request: RunRequest, service: LocalService, tree: OperationTree, summary: ExecutionSummary
) -> AsyncIterator[View]:
    if _is_plain(request):
        yield PlainView(lambda line: click.echo(line, err=request.as_json))
        return
    title = f"{summary.function_name} {summary.name}"
    with LiveView(_console(request), tree, title=title, now=service.clock.now) as view:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(view.redraw)
            yield view
            nursery.cancel_scope.cancel()
