"""Which of the invocations that are due are made now.

Normally all of them, in the transaction in which they become due. A function with a limit of invocations at a time
has the others wait, first come, first served; so has one that is not registered at the moment, because it is being
replaced. They are due all the while, which is recorded; only the order in which they wait is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable_trio._protocol.invocation_rules import begin_invocation
from durable_trio._protocol.pages import PageLimits
from durable_trio._protocol.plain_calls import begin_call
from durable_trio._protocol.value_class import frozen_dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from durable_trio._protocol.execution_record import ExecutionRecord
    from durable_trio.local.calls import Arguments
    from durable_trio.local.ledger import Ledger
    from durable_trio.local.registry import RegisteredFunction, Registry
    from durable_trio.local.settings import LocalSettings


@frozen_dataclass(frozen=True, slots=True)
class DueInvocation:
    """An invocation that is recorded as started, and now has to be made.

    *arn* is None for a call of a function that is not durable; *log_arn* is the execution to whose log it adds.
    """

    execution_id: str
    function: RegisteredFunction
    request_id: str
    arguments: Arguments
    arn: str | None
    log_arn: str | None
    tenant_id: str | None


class Dispatcher:
    """Begins invocations, as far as their functions have room."""

    def __init__(self, registry: Registry, settings: LocalSettings, make_id: Callable[[], str]) -> None:
        self._registry = registry
        self._make_id = make_id
        self._page_limits = PageLimits(settings.page_operations, settings.page_bytes)
        self._waiting: dict[tuple[str, str], dict[str, None]] = {}
        """For each version of a function the executions that wait, as ordered sets."""

    def __repr__(self) -> str:
        return f"<Dispatcher, {sum(map(len, self._waiting.values()))} waiting>"

    def has_waiting(self, function_name: str) -> bool:
        """Tell whether an execution waits for an invocation of this function."""
        return any(name == function_name for name, _ in self._waiting)

    def begin(self, ledger: Ledger, record: ExecutionRecord) -> DueInvocation | None:
        """Begin the invocation that *record* is due, or have it wait."""
        arn = record.identity.arn
        key = (arn.function_name, arn.version)
        function = self._registry.get(*key)
        if function is None or key in self._waiting or not self._registry.may_begin(function):
            self._waiting.setdefault(key, {})[record.id] = None
            return None
        return self._begin(ledger, record, function)

    def begin_waiting(self, ledger: Ledger) -> Iterator[DueInvocation]:
        """Begin the invocations that have waited and now need not any more."""
        for key in list(self._waiting):
            queue, function = self._waiting[key], self._registry.get(*key)
            if function is None:
                continue
            for execution_id in list(queue):
                if not self._registry.may_begin(function):
                    break
                del queue[execution_id]
                record = ledger.record(execution_id)
                if record is not None and record.is_invocation_due and ledger.drives(execution_id):
                    yield self._begin(ledger, record, function)
            if not queue:
                del self._waiting[key]

    def undo(self, due: DueInvocation) -> None:
        """Note that the transaction in which an invocation has begun is rolled back."""
        self._registry.note_ended(due.function.name)

    def _begin(self, ledger: Ledger, record: ExecutionRecord, function: RegisteredFunction) -> DueInvocation:
        request_id, now = self._make_id(), ledger.clock.now()
        is_durable, arn = record.identity.is_durable, str(record.identity.arn)
        arguments: Arguments
        if is_durable:
            arguments = begin_invocation(record, request_id, now, self._page_limits)
        else:
            arguments = begin_call(record, request_id, now)
        ledger.save(record)
        self._registry.note_started(function.name)
        return DueInvocation(
            record.id,
            function,
            request_id,
            arguments,
            arn if is_durable else None,
            arn if is_durable else _arn_of_parent(ledger, record),
            record.identity.tenant_id,
        )


def _arn_of_parent(ledger: Ledger, record: ExecutionRecord) -> str | None:
    parent = record.identity.parent and ledger.record(record.identity.parent.execution_id)
    return str(parent.identity.arn) if parent else None
