"""One worker: a process that runs a function, one invocation at a time, from its start to its end.

The process leads a session of its own: Ctrl-C in the terminal does not reach it, and it is killed together with
whatever it has started. Its standard input is a pipe on which nothing is ever sent: should this process die, the
worker sees the end of it and kills itself (``bootstrap``).
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from durable_trio._protocol.operation import ErrorObject
from durable_trio.local.workers.conversation import Conversation, Outcome, Phase
from durable_trio.local.workers.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from durable_trio.local.workers.conversation import Invocation
    from durable_trio.local.workers.functions import WorkerFunction

_EXIT_ERROR: Final = "Runtime.ExitError"
_BOOTSTRAP: Final = Path(__file__).with_name("bootstrap.py")


class Worker:
    """One worker. *on_idle* is called whenever it asks for work, *on_line* with what it prints.

    Attributes:
        secret: the unguessable part of the path by which it reaches the Runtime API.
        conversation: what is said between it and the service.
        is_retired: it gets no more work, since its code is out of date.
        idle_since: when it asked for work the last time, in Trio's time; -inf if it never has.
    """

    def __init__(
        self,
        function: WorkerFunction,
        *,
        on_idle: Callable[[Worker], None],
        on_line: Callable[[Invocation | None, str], None],
    ) -> None:
        self.secret = secrets.token_urlsafe(32)
        self.log_stream = secrets.token_hex(16)
        self.is_retired = False
        self.idle_since = -math.inf
        self._function = function
        self._on_idle = on_idle
        self._output = Output(lambda line: on_line(self.conversation.invocation, line))
        self.conversation = Conversation(on_idle=self._become_idle, on_answer=self._output.drain)
        self._process: trio.Process | None = None

    def __repr__(self) -> str:
        pid = "not started" if self._process is None else f"pid {self._process.pid}"
        return f"<Worker of {self._function.name}, {pid}, {self.conversation.phase.value}>"

    @property
    def is_idle(self) -> bool:
        """Tell whether it waits for work."""
        return self.conversation.phase is Phase.IDLE

    @property
    def has_asked(self) -> bool:
        """Tell whether it has asked for work at least once."""
        return self.idle_since > -math.inf

    @property
    def has_said_why(self) -> bool:
        """Tell whether it has ended for a reason that we know, and not just died."""
        ending = self.conversation.ending
        return ending is not None and ending.type != _EXIT_ERROR

    @property
    def pid(self) -> int | None:
        """The process's id, once there is one."""
        return None if self._process is None else self._process.pid

    async def live(self, environment: Mapping[str, str]) -> None:
        """Run the process until it ends, is killed, or this is cancelled.

        Afterwards the conversation has ended, and says why. Nothing is raised for a process that cannot be
        started: that is a reason as well.
        """
        try:
            await self._start(environment)
        except OSError as problem:
            message = f"cannot start {self._function.python}: {problem}"
            self._output.close_writing()
            self._output.close()
            self.conversation.end(ErrorObject(message=message, type="Runtime.InvalidEntrypoint"))
            return
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._output.read)
                nursery.start_soon(self._limit_start)
                await self._wait()
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                self.kill()
                await self._wait()
            self._output.close()
            self.conversation.end(self._ending())

    async def run(self, invocation: Invocation) -> Outcome:
        """Give the worker an invocation and return what became of it. If cancelled, the process is killed."""
        try:
            return await self.conversation.give(invocation)
        except trio.Cancelled:
            # It cannot be taken back, and must not go on.
            self.kill()
            raise

    def kill(self) -> None:
        """Kill the process and what it has started, if it runs."""
        if self._process is not None:
            # The group outlives its leader while somebody is in it; ESRCH says that nobody is.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _become_idle(self) -> None:
        self.idle_since = trio.current_time()
        self._on_idle(self)

    async def _start(self, environment: Mapping[str, str]) -> None:
        function = self._function
        self._process = await trio.lowlevel.open_process(
            [
                *(function.python, os.fspath(_BOOTSTRAP)),
                *(f"{function.module}.{function.attribute}", os.fspath(function.directory), function.runtime),
            ],
            stdin=subprocess.PIPE,
            stdout=self._output.write_fd,
            stderr=self._output.write_fd,
            env=dict(environment),
            cwd=function.directory,
            start_new_session=True,
        )
        self._output.close_writing()

    async def _limit_start(self) -> None:
        with trio.move_on_after(self._function.init_seconds):
            await self.conversation.started.wait()
        if self.conversation.started.is_set():
            if self.conversation.ending is not None:
                # It has said that it cannot load the function.
                self.kill()
            return
        message = f"Init timed out after {self._function.init_seconds:.2f} seconds"
        self.conversation.end(ErrorObject(message=message, type="Sandbox.Timedout"))
        self.kill()

    async def _wait(self) -> None:
        assert self._process is not None  # noqa: S101  # only called once it has been started
        await self._process.wait()
        if self._process.stdin is not None:
            await self._process.stdin.aclose()

    def _ending(self) -> ErrorObject:
        """Say how the process ended, in Lambda's words."""
        invocation = self.conversation.invocation
        about = "" if invocation is None else f"RequestId: {invocation.request_id} "
        status = 0 if self._process is None else self._process.returncode or 0
        if status < 0:
            how = f"Runtime exited with error: signal: {signal.Signals(-status).name}"
        elif status > 0:
            how = f"Runtime exited with error: exit status {status}"
        else:
            how = "Runtime exited without providing a reason"
        return ErrorObject(message=f"{about}Error: {how}", type=_EXIT_ERROR)
