"""The one task that owns the database, and the inbox through which others ask it.

Everything the service does is a request, and the owner serves it: it takes all that are queued, runs them in one
SQLite transaction, commits, and only then answers (a *group commit*: however many wait, the disk is waited for
once). Requests of one group cannot disturb each other, because each validates before it changes anything. If the
transaction fails all the same (a full disk), it is rolled back, and the requests are tried one by one, so that only
those fail that must.

Requests over HTTP need a few rounds of Trio's scheduler from the socket to the inbox, and the owner's commit stops
the scheduler. So with a file, if several were served together lately, the owner lets those rounds pass before it
takes a group: the commits of five executions over HTTP become half as many. One that is alone does not wait.

Time is in the same place: the owner sleeps until the next timer, and the ledger ends the timers that are due before
it serves anything. SQLite is called right in the owner's task. A commit takes as long as the disk does, and nothing
that waits for it could go on without it.
"""

from __future__ import annotations

import logging
import math
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar

import trio

from durable_trio._protocol.refusals import RefusedError
from durable_trio.local.errors import LocalServiceError, ServiceFailure, refused
from durable_trio.local.ledger import Ledger
from durable_trio.local.store import CannotBeginError

if TYPE_CHECKING:
    from durable_trio.clock import Clock
    from durable_trio.local.ledger import Deeds

T = TypeVar("T")
Work: TypeAlias = Callable[[Ledger], T]

_RETRY_SECONDS: Final = 1.0

_GATHERING_ROUNDS: Final = 6  # from a socket to the inbox
_LOOK_EVERY: Final = 16  # groups: whether gathering is worth it

logger = logging.getLogger("durable_trio.local")


class _Request(Generic[T]):
    """Some work for the owner, and the slot for its answer."""

    __slots__ = ("_asker", "_error", "_value", "work")

    def __init__(self, work: Work[T]) -> None:
        self.work = work
        self._asker: trio.lowlevel.Task | None = None
        self._value: T
        self._error: Exception | None = None

    def give(self, value: T) -> None:
        """Answer with a value."""
        self._value = value
        self._wake()

    def refuse(self, error: Exception) -> None:
        """Answer with an error, which is raised in the task that asked."""
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._asker is not None:
            trio.lowlevel.reschedule(self._asker)
            self._asker = None

    async def answer(self) -> T:
        # An event would do as well, at three times the price.
        self._asker = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._give_up)
        if self._error is not None:
            raise self._error
        return self._value

    def _give_up(self, raise_cancel: object) -> trio.lowlevel.Abort:
        self._asker = None
        return trio.lowlevel.Abort.SUCCEEDED


class Owner:
    """Serves requests against a ledger.

    *perform* is called with what is to be done after each commit. *watch_seconds* is how often to look whether
    another process wrote to the file; None: only when there is something to do anyway.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        perform: Callable[[Deeds], None],
        watch_seconds: float | None,
        *,
        gathers: bool = False,
    ) -> None:
        self._ledger = ledger
        self._gathers = gathers  # a commit takes long enough for that
        self._had_company = False
        self._groups = 0
        self._clock = clock
        self._perform = perform
        self._watch_seconds = math.inf if watch_seconds is None else watch_seconds
        self._retry_deadline = -math.inf
        self._served = 0
        self._served_lot = trio.lowlevel.ParkingLot()
        self._inbox: list[_Request[object]] = []
        self._sleeper: trio.lowlevel.Task | None = None
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<Owner {len(self._inbox)} queued, {self._served} served>"

    @property
    def is_idle(self) -> bool:
        """Whether no request is queued, and no timer is due."""
        due_at = self.next_due_at()
        return not self._inbox and not (due_at is not None and due_at <= self._clock.now())

    def next_due_at(self) -> int | None:
        """Return when the next timer ends (epoch milliseconds; 0: at once), None if there is none."""
        return self._ledger.next_due_at()

    async def until_served(self) -> None:
        """Return when a group of requests or timers has been served, or ``announce`` was called."""
        await self._served_lot.park()

    def announce(self) -> None:
        """Wake those who wait for something to have changed."""
        self._served_lot.unpark_all()

    async def ask(self, work: Work[T]) -> T:
        """Have *work* done in a transaction, and return its result once that is on the disk.

        If cancelled while waiting, the work may still be done: it was already queued.

        Raises:
            LocalServiceError: the work was refused, or (``ServiceFailure``) could not be written.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._is_closed:
            raise _closed()
        request = _Request(work)
        self._inbox.append(request)  # type: ignore[arg-type]  # each request answers its own asker
        if self._sleeper is not None:
            trio.lowlevel.reschedule(self._sleeper)
            self._sleeper = None
        return await request.answer()

    async def run(self) -> None:
        """Serve requests and timers until cancelled."""
        try:
            while True:
                # One scope for many groups: to make one costs as much as to serve a small request.
                with self._clock.scope(self._deadline) as until_due:
                    while True:
                        await self._until_asked()
                        self._serve_all()
                        deadline = self._deadline()
                        if deadline != until_due.deadline:
                            until_due.deadline = deadline
                self._serve_all()
        finally:
            self._close()

    async def _until_asked(self) -> None:
        """Return when a request is queued, and those that are on their way had time to arrive."""
        if self._inbox:
            await trio.lowlevel.checkpoint()
        else:
            self._sleeper = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._stop_sleeping)
        if self._gathers:
            self._groups += 1
            if self._had_company or self._groups % _LOOK_EVERY == 0:
                for _ in range(_GATHERING_ROUNDS):
                    await trio.lowlevel.checkpoint()

    def _stop_sleeping(self, raise_cancel: object) -> trio.lowlevel.Abort:
        self._sleeper = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _serve_all(self) -> None:
        """Serve the requests that are queued; without any, the timers that are due."""
        group, self._inbox = self._inbox, []
        self._had_company = len(group) > 1
        self._serve(group)
        self.announce()

    def _close(self) -> None:
        """Serve nobody any more."""
        self._is_closed = True
        for request in self._inbox:
            request.refuse(_closed())

    def _deadline(self) -> float:
        due_at = self._ledger.next_due_at()
        timer = math.inf if due_at is None else self._clock.trio_deadline(due_at)
        if self._watch_seconds != math.inf:
            timer = min(timer, trio.current_time() + self._watch_seconds)
        return max(self._retry_deadline, timer)

    def _serve(self, group: list[_Request[object]]) -> None:
        try:
            if not group and not self._ledger.has_news():
                return
            deeds, answers = self._transact(group)
        except Exception as problem:  # noqa: BLE001  # not swallowed: raised in the task that asked, or here
            self._fail(group, problem)
            return
        self._served += len(group)
        self._perform(deeds)
        for request, answer in zip(group, answers, strict=True):
            if isinstance(answer, _Refusal):
                request.refuse(answer.error)
            else:
                request.give(answer)

    def _transact(self, group: list[_Request[object]]) -> tuple[Deeds, list[object]]:
        try:
            self._ledger.begin()
            answers = [self._answer(request) for request in group]
            return self._ledger.commit(), answers
        except BaseException:
            self._ledger.rollback()
            raise

    def _fail(self, group: list[_Request[object]], problem: Exception) -> None:
        """Give a failed transaction's requests their error, or another chance, each by itself."""
        # Timers that were due are tried again, but not at once.
        self._retry_deadline = trio.current_time() + _RETRY_SECONDS
        if not group:
            if not isinstance(problem, sqlite3.Error):
                raise problem
            logger.warning("timers could not be recorded, trying again in %g s: %s", _RETRY_SECONDS, problem)
        elif len(group) == 1 or isinstance(problem, CannotBeginError):
            for request in group:
                request.refuse(_failure(problem))
        else:
            for request in group:
                self._serve([request])

    def _answer(self, request: _Request[object]) -> object:
        """Do one request's work. A refusal is an answer too: it has changed nothing."""
        try:
            return request.work(self._ledger)
        except RefusedError as refusal:
            return _Refusal(refused(refusal))
        except LocalServiceError as refusal:
            return _Refusal(refusal)


class _Refusal:
    """An answer that is raised in the task that asked."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


def _closed() -> ServiceFailure:
    return ServiceFailure("the local service is closed")


def _failure(problem: Exception) -> Exception:
    """Return what to tell of a transaction that failed. Each asker gets an error of its own."""
    if not isinstance(problem, sqlite3.Error):
        return problem
    failure = ServiceFailure(f"the database could not be written: {problem}")
    failure.__cause__ = problem
    return failure
