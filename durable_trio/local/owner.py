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

    __slots__ = ("_error", "_is_done", "_value", "work")

    def __init__(self, work: Work[T]) -> None:
        self.work = work
        self._is_done = trio.Event()
        self._value: T
        self._error: Exception | None = None

    def settle(self, answer: Callable[[], T]) -> None:
        """Give the answer: its value, or the error it raises, goes to who asked."""
        try:
            self._value = answer()
        except Exception as error:  # noqa: BLE001  # not swallowed: raised in the task that asked
            self._error = error
        self._is_done.set()

    async def answer(self) -> T:
        await self._is_done.wait()
        if self._error is not None:
            raise self._error
        return self._value


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
        self._is_gathering = False
        self._had_company = False
        self._groups = 0
        self._clock = clock
        self._perform = perform
        self._watch_seconds = math.inf if watch_seconds is None else watch_seconds
        self._retry_deadline = -math.inf
        self._served = 0
        self._served_lot = trio.lowlevel.ParkingLot()
        # No buffer: who asks waits until the owner takes the request, and then for the answer.
        self._send, self._inbox = trio.open_memory_channel[_Request[object]](0)

    def __repr__(self) -> str:
        return f"<Owner {self._inbox.statistics().tasks_waiting_send} queued, {self._served} served>"

    @property
    def is_idle(self) -> bool:
        """Whether no request is queued, and no timer is due."""
        due_at = self.next_due_at()
        is_due = due_at is not None and due_at <= self._clock.now()
        is_asked = self._is_gathering or self._inbox.statistics().tasks_waiting_send > 0
        return not is_due and not is_asked

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
        request = _Request(work)
        try:
            await self._send.send(request)  # type: ignore[arg-type]  # each request answers its own asker
        except trio.BrokenResourceError:
            raise ServiceFailure("the local service is closed") from None
        return await request.answer()

    async def run(self) -> None:
        """Serve requests and timers until cancelled."""
        with self._inbox:
            while True:
                self._serve(await self._next_group())
                self.announce()

    async def _next_group(self) -> list[_Request[object]]:
        """Return the requests that are queued, as soon as there is one; none if it is time for a timer."""
        group: list[_Request[object]] = []
        with self._clock.scope(self._deadline):
            group.append(await self._inbox.receive())
        if group and self._gathers:
            await self._gather()
        try:
            while True:
                group.append(self._inbox.receive_nowait())
        except trio.WouldBlock:
            self._had_company = len(group) > 1
            return group

    async def _gather(self) -> None:
        """Let requests that are on their way arrive, if there have been some lately."""
        self._groups += 1
        if self._had_company or self._groups % _LOOK_EVERY == 0:
            self._is_gathering = True
            for _ in range(_GATHERING_ROUNDS):
                await trio.lowlevel.checkpoint()
            self._is_gathering = False

    def _deadline(self) -> float:
        due_at = self._ledger.next_due_at()
        timer = math.inf if due_at is None else self._clock.trio_deadline(due_at)
        return max(self._retry_deadline, min(timer, trio.current_time() + self._watch_seconds))

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
            request.settle(answer)

    def _transact(self, group: list[_Request[object]]) -> tuple[Deeds, list[Callable[[], object]]]:
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
                request.settle(_raiser(problem))
        else:
            for request in group:
                self._serve([request])

    def _answer(self, request: _Request[object]) -> Callable[[], object]:
        """Do one request's work. A refusal is an answer too: it has changed nothing."""
        try:
            value = request.work(self._ledger)
        except RefusedError as refusal:
            return _raiser(refused(refusal))
        except LocalServiceError as refusal:
            return _raiser(refusal)
        return lambda: value


def _raiser(problem: Exception) -> Callable[[], object]:
    def raise_it() -> object:
        if isinstance(problem, sqlite3.Error):
            raise ServiceFailure(f"the database could not be written: {problem}") from problem
        raise problem

    return raise_it
