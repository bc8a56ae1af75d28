"""Following an execution until it is closed: keep the tree, tell the view, answer callbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from durable_trio._protocol.operation import OperationStatus
from durable_trio.cli.outline import error_text
from durable_trio.cli.tree import callback_id, callback_name, is_asked, newly_asked
from durable_trio.local import (
    CallbackTimeout,
    ExecutionClosed,
    InvocationEnded,
    InvocationStarted,
    OperationChanged,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio._protocol.operation import OperationRecord
    from durable_trio.cli.answers import Answers
    from durable_trio.cli.tree import Moved, Node, OperationTree
    from durable_trio.local import Change, ExecutionDescription, LocalService


class View(Protocol):
    """Somebody who watches."""

    def note(self, text: str) -> None:
        """Show a remark."""

    def invocation(self, number: int, happened: str) -> None:
        """Show that invocation *number* ``started``, is ``over`` (not news), ``ended``, or failed (other words)."""

    def moved(self, moved: Moved) -> None:
        """Show that an operation has changed."""

    def closed(self, status: str) -> None:
        """Show that the execution is over."""


class Follower:
    """Take in what happens to one execution.

    Args:
        service: where it happens.
        tree: is kept up to date.
        view: is told.
        answers: what to answer callbacks with.
        how_to_answer: the command, for humans, that answers the callback with the id it is given.
    """

    def __init__(
        self,
        service: LocalService,
        tree: OperationTree,
        view: View,
        answers: Answers,
        how_to_answer: Callable[[str], str],
    ) -> None:
        self._service = service
        self._tree = tree
        self._view = view
        self._answers = answers
        self._how_to_answer = how_to_answer
        self._hinted: set[str] = set()

    async def follow(self, arn: str, *, is_new: bool) -> ExecutionDescription:
        """Follow the execution *arn* until it is closed; return how it ended.

        If it is not new, the view is not told what had happened before.
        """
        with self._service.subscribe(arn) as changes:
            # What happened before the subscription; what happened since may come twice, which is harmless.
            for record in await self._service.operations(arn):
                await self._take_in(record, is_news=is_new)
            description = await self._service.describe(arn)
            self._view.invocation(
                description.invocation_count, "started" if description.is_invoked else "over"
            )
            if not description.status.is_closed:
                if not description.is_invoked:
                    self._hint_at_open_callbacks()
                async for change in changes:
                    if isinstance(change, ExecutionClosed):
                        break
                    await self._on_change(change)
        description = await self._service.describe(arn)
        self._view.closed(description.status.value)
        return description

    async def _on_change(self, change: Change) -> None:
        match change:
            case OperationChanged(operation=record):
                await self._take_in(record, is_news=True)
            case InvocationStarted(number=number):
                self._view.invocation(number, "started")
            case InvocationEnded(number=number, error=error):
                self._view.invocation(number, "ended" if error is None else f"failed, {error_text(error)}")
                self._hint_at_open_callbacks()

    async def _take_in(self, record: OperationRecord, *, is_news: bool) -> None:
        moved = self._tree.apply(record)
        if moved is None:
            return
        if is_news:
            self._view.moved(moved)
        callback = newly_asked(moved)
        if callback is not None:
            await self._answer(callback)

    async def _answer(self, callback: Node) -> None:
        name = callback_name(callback)
        id_ = callback_id(callback)
        answer = self._answers.get(name)
        if answer is None or id_ is None:
            return
        self._answers.mark_used(name)
        try:
            if answer.error is not None:
                await self._service.callback_fail(id_, answer.error)
            else:
                await self._service.callback_succeed(id_, answer.result)
        except CallbackTimeout:
            self._view.note(f"callback {name} was closed before --answer could answer it")
        else:
            self._view.note(f"callback {name} answered by --answer")

    def _hint_at_open_callbacks(self) -> None:
        """Say how to answer what the execution waits for; once per callback."""
        for callback in self._tree.open_callbacks.values():
            id_ = callback_id(callback)
            if id_ is None or id_ in self._hinted or not is_asked(callback):
                continue
            if callback.record.status is OperationStatus.STARTED and not self._answers.get(
                callback_name(callback)
            ):
                self._hinted.add(id_)
                self._view.note(
                    f"callback {callback_name(callback)} waits for an answer: {self._how_to_answer(id_)}"
                )
