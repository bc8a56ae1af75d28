"""The executions of a database, one transaction at a time.

The ledger is the synchronous part of the service: it finds the record that a request is about, lets the pure
rules change it, and writes what changed. It keeps the records of the executions that this process drives in
memory, and knows when they are out of date: SQLite's ``data_version`` tells that another process has committed,
and each record's revision whether that concerned it.

Memory never runs ahead of the file. Whatever goes wrong in a transaction, ``rollback`` drops every record that
was in memory along with what was written; they are read again when they are next needed.

What is to be done once a transaction has been committed (invocations to make, watchers to tell) is handed over
by ``commit``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from durable_trio._protocol.arns import parse_arn
from durable_trio._protocol.execution_record import (
    ExecutionIdentity,
    ExecutionRecord,
    start_record,
)
from durable_trio._protocol.invocation_rules import lose_invocation
from durable_trio._protocol.service_moves import fire_due
from durable_trio.clock import Clock, VirtualClock
from durable_trio.local.chained import settle_chained
from durable_trio.local.errors import InvalidParameterValue, ResourceNotFound
from durable_trio.local.retention import Retention
from durable_trio.local.rows import Stored
from durable_trio.local.timers import DueQueue

if TYPE_CHECKING:
    from collections.abc import Iterable

    from durable_trio._protocol.effects import (
        Effect,
    )
    from durable_trio.local.changes import Feeds
    from durable_trio.local.dispatch import Dispatcher, DueInvocation
    from durable_trio.local.hosts import Host
    from durable_trio.local.registry import Registry
    from durable_trio.local.settings import LocalSettings
    from durable_trio.local.store import Store


@dataclass(slots=True)
class Deeds:
    """What to do after a commit."""

    invocations: list[DueInvocation] = field(default_factory=list)
    effects: dict[str, list[Effect]] = field(default_factory=dict)
    touched: dict[str, ExecutionRecord] = field(default_factory=dict)
    adopted: set[str] = field(default_factory=set)
    """Executions that this process drives since the transaction began."""
    has_changes: bool = False


class Ledger:
    """Records in memory over rows in the store."""

    def __init__(
        self,
        store: Store,
        host: Host,
        clock: Clock,
        settings: LocalSettings,
        feeds: Feeds,
        registry: Registry,
        dispatcher: Dispatcher,
    ) -> None:
        self.store = store
        self.clock = clock
        self.settings = settings
        self.registry = registry
        self._host = host
        self._feeds = feeds
        self._dispatcher = dispatcher
        self._retention = Retention()
        self._cache: dict[str, Stored] = {}
        self._verified: set[str] = set()
        self._data_version: int | None = None
        self._driven: set[str] = set()
        self._latest = ""
        """The execution that is kept in memory though nobody drives or watches it."""
        self._due = DueQueue()
        self._deeds = Deeds()

    def __repr__(self) -> str:
        return f"<Ledger {len(self._driven)} driven, {len(self._cache)} in memory, {self._due!r}>"

    # --- transactions ------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start a transaction, look at what other processes changed, and end the timers that are due."""
        # Before anything can fail: a rollback undoes what is noted here, not what was committed before.
        self._deeds = Deeds()
        self.store.begin()
        now = self.clock.now()
        if self._retention.is_due(self.store, now):
            self._forget(self._retention.sweep(self.store, now))
        version = self.store.data_version()
        if version != self._data_version:
            self._verified.clear()
            self._data_version = version
            for execution_id in {*self._driven, *self._feeds.watched()}:
                self.record(execution_id)
        for execution_id in self._due.due(now):
            if self.record(execution_id) is not None:
                self.open(execution_id)

    def commit(self) -> Deeds:
        """Record the invocations that are due as started, commit, and return what is left to do."""
        deeds = self._deeds
        for record in list(deeds.touched.values()):
            if record.is_invocation_due and record.id in self._driven:
                due = self._dispatcher.begin(self, record)
                if due is not None:
                    deeds.invocations.append(due)
        for due in self._dispatcher.begin_waiting(self):
            deeds.invocations.append(due)
        self._drop_finished_calls()
        if deeds.has_changes and isinstance(self.clock, VirtualClock):
            self.store.note_time(self.clock.now())
        self.store.commit()
        for execution_id, record in deeds.touched.items():
            self._settle(execution_id, record)
        return deeds

    def rollback(self) -> None:
        """Undo the transaction, in the file and in memory."""
        self._driven -= self._deeds.adopted
        for due in self._deeds.invocations:
            self._dispatcher.undo(due)
        self._deeds = Deeds()
        self._retention = Retention()
        self._cache.clear()
        self._verified.clear()
        # Has every driven execution read again, and its timers queued again.
        self._data_version = None
        self.store.rollback()

    def next_due_at(self) -> int | None:
        """Return when the next timer of a driven execution ends; 0 if that has to be looked up."""
        if self._data_version is None and self._driven:
            return 0
        return self._due.next_at()

    def has_news(self) -> bool:
        """Tell whether a transaction would find anything to do: a timer that is due, or changes by others."""
        due_at = self.next_due_at()
        is_due = due_at is not None and due_at <= self.clock.now()
        return is_due or self.store.data_version() != self._data_version

    def _settle(self, execution_id: str, record: ExecutionRecord) -> None:
        """Note when to look at a record next, or forget it."""
        if record.status.is_closed and record.active is None:
            self._driven.discard(execution_id)
            self._retention.note_end(record)
        timer = record.timers.next_due()
        if execution_id in self._driven:
            self._due.put(execution_id, timer.due_at if timer else None)
        else:
            self._due.put(execution_id, None)
            # Who waited for its end looks at it next, so the latest stays.
            self._latest = execution_id
            if len(self._cache) > len(self._driven) + 1:
                self._evict()

    def _evict(self) -> None:
        """Forget the records that nobody drives or watches, except the latest."""
        for execution_id in list(self._cache):
            is_needed = execution_id in self._driven or execution_id in self._feeds
            if not is_needed and execution_id != self._latest:
                del self._cache[execution_id]
                self._verified.discard(execution_id)

    def _drop_finished_calls(self) -> None:
        """Remove the records of calls that are over: nobody may ask for them."""
        for record in list(self._deeds.touched.values()):
            if not record.identity.is_durable and record.status.is_closed and record.active is None:
                self.store.delete(record.id)
                self._forget([record.id])

    def _forget(self, execution_ids: Iterable[str]) -> None:
        """Note that executions are not in the file any more."""
        for execution_id in execution_ids:
            self._cache.pop(execution_id, None)
            self._verified.discard(execution_id)
            self._driven.discard(execution_id)
            self._due.put(execution_id, None)
            self._deeds.touched.pop(execution_id, None)

    # --- records -----------------------------------------------------------------------------------------

    def record(self, execution_id: str) -> ExecutionRecord | None:
        """Return the up-to-date record of an execution, or None; to look at, not to change."""
        stored = self._stored(execution_id)
        return None if stored is None else stored.record

    def _stored(self, execution_id: str) -> Stored | None:
        stored = self._cache.get(execution_id)
        is_stale = execution_id not in self._verified and (
            stored is not None and self.store.revision(execution_id) != stored.revision
        )
        if stored is None or is_stale:
            stored = self.store.load(execution_id)
            if stored is None:
                # Another process has deleted it.
                self._forget([execution_id])
                return None
            self._cache[execution_id] = stored
            if stored.host != self._host.id:
                # Another process has taken over; it took this one for dead.
                self._driven.discard(execution_id)
            missed = self._feeds.missed(stored.record)
            self._deeds.effects.setdefault(execution_id, []).extend(missed)
        self._verified.add(execution_id)
        self._deeds.touched[execution_id] = stored.record
        return stored

    def record_in_memory(self, execution_id: str) -> ExecutionRecord | None:
        """Return the up-to-date record of an execution if it need not be read whole for that; to look at."""
        return self.record(execution_id) if execution_id in self._cache else None

    def open(self, execution_id: str) -> ExecutionRecord:
        """Return the record of an execution, to be changed: its due timers have ended.

        Raises:
            ResourceNotFound: there is no such execution.
        """
        record = self.record(execution_id)
        if record is None:
            raise ResourceNotFound(f"there is no execution with id {execution_id!r}")
        fire_due(record, self.clock.now())
        self.save(record)
        return record

    def save(self, record: ExecutionRecord) -> None:
        """Write what changed about a record, and what follows from it for other executions."""
        if not record.has_changes:
            return
        changes = record.take_changes()
        self.store.save(record, changes)
        self._deeds.has_changes = True
        self._cache[record.id].revision += 1
        self._deeds.touched[record.id] = record
        self._deeds.effects.setdefault(record.id, []).extend(changes.effects)
        settle_chained(self, record, changes.effects)

    def find(self, text: str) -> str:
        """Return the id of the execution that *text* means: an ARN, an id, or a name.

        Raises:
            ResourceNotFound: there is no such execution.
            InvalidParameterValue: several functions have an execution of this name.
        """
        arn = parse_arn(text)
        execution_id = arn.id if arn else text
        known = self.record_in_memory(execution_id)
        if known is not None and known.identity.is_durable and (arn is None or known.identity.arn == arn):
            return execution_id
        stored = self.store.load_standing(execution_id)
        is_meant = stored is not None and (arn is None or stored.record.identity.arn == arn)
        if stored is not None and is_meant and stored.record.identity.is_durable:
            return stored.record.id
        named = [] if arn else self.store.find(text)
        if len(named) > 1:
            functions = ", ".join(sorted(stored.record.identity.arn.function_name for stored in named))
            raise InvalidParameterValue(
                f"several functions have an execution named {text!r} ({functions}): use its ARN or its id"
            )
        if not named:
            raise ResourceNotFound(f"there is no execution {text!r}")
        return named[0].record.id

    def delete(self, record: ExecutionRecord) -> None:
        """Remove an execution with everything about it."""
        self.store.delete(record.id)
        self._forget([record.id])

    # --- driving -----------------------------------------------------------------------------------------

    def start(
        self, identity: ExecutionIdentity, input_payload: str, *, delay_seconds: float = 0
    ) -> ExecutionRecord:
        """Make a new execution, driven by this process; it is invoked after *delay_seconds*."""
        record = start_record(identity, input_payload, delay_seconds=delay_seconds)
        self.store.create(record, self._host.id)
        self._cache[record.id] = Stored(record, self._host.id, 1)
        self._verified.add(record.id)
        self._drive(record.id)
        self.save(record)
        return record

    def drives(self, execution_id: str) -> bool:
        """Tell whether this process drives an execution."""
        return execution_id in self._driven

    def is_busy(self, execution_id: str) -> bool:
        """Tell whether a live process drives an execution that has been opened."""
        host = self._cache[execution_id].host
        return host is not None and self._host.is_alive(host)

    def adopt(self, record: ExecutionRecord) -> None:
        """Drive an execution from now on. An invocation that it was in is lost, and repeated."""
        self.store.set_host(record.id, self._host.id)
        stored = self._cache[record.id]
        stored.host = self._host.id
        stored.revision += 1
        self._drive(record.id)
        lose_invocation(record, self.clock.now())
        self.save(record)

    def _drive(self, execution_id: str) -> None:
        self._driven.add(execution_id)
        self._deeds.adopted.add(execution_id)
