"""How the sentinel sees calls: by what Python offers to profilers. Nothing is patched.

Most suspects are functions in C that cannot be replaced: ``from time import time`` and ``datetime.now`` go past every
patch. Python tells profilers about calls in one of two ways.

``MonitoringHook`` (from Python 3.12) uses ``sys.monitoring``. It is told of a call of a C function by the line that
makes it, and answers once for each line of a library's that it does not want to hear of it again; of functions in
Python it marks the few suspects themselves. So it costs next to nothing, and leaves other tools alone. What it is
told comes from the whole process; whether a watched invocation runs there is asked for suspects only.

``ProfileHook`` uses ``sys.setprofile``, which is told of every call in its thread, and of which there is one only. It is
on only while a task of a watched invocation runs, which a Trio instrument sees to. It about doubles the CPU time of the
watched code.

Which task is watched is a context variable: tasks inherit it from the one that started them.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from types import BuiltinFunctionType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import trio

from durable_trio.step_context import _current_step
from durable_trio.testing.sentinel_calls import C_CALLS, PYTHON_CALLS
from durable_trio.testing.sentinel_frames import is_users_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType

    from durable_trio.testing.sentinel_calls import Suspect

    Listener: TypeAlias = Callable[[Suspect, FrameType | None], None]
    """Called with a suspect that is being called, and the frame that calls it."""

_listener: ContextVar[Listener | None] = ContextVar("durable_trio_sentinel", default=None)


class ProfileHook:
    """Tells *listener* by ``sys.setprofile``."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._users = 0
        self._switch = _Switch(listener, self._told)

    @property
    def is_taken(self) -> bool:
        """Whether something else has the hook."""
        profiler = sys.getprofile()
        return profiler is not None and getattr(profiler, "__func__", None) is not ProfileHook._told

    @contextmanager
    def on(self) -> Iterator[None]:
        """Watch the calling task, and those that it starts, in the block."""
        if self._users == 0:
            trio.lowlevel.add_instrument(self._switch)
        self._users += 1
        token = _listener.set(self._listener)
        before = sys.getprofile()
        sys.setprofile(self._told)
        try:
            yield
        finally:
            sys.setprofile(before)
            _listener.reset(token)
            self._users -= 1
            if self._users == 0:
                trio.lowlevel.remove_instrument(self._switch)

    def _told(self, frame: FrameType, event: str, arg: Any) -> None:
        if event == "c_call":
            suspect = C_CALLS.get(arg)
            if suspect is not None:
                self._listener(suspect, frame)
        elif event == "call":
            judge = PYTHON_CALLS.get(frame.f_code)
            if judge is not None:
                suspect = judge(frame)
                if suspect is not None:
                    self._listener(suspect, frame.f_back)


class _Switch(trio.abc.Instrument):
    """Turns the profiling hook on when a task runs that is watched, and off after it."""

    def __init__(self, listener: Listener, hook: Callable[[FrameType, str, Any], None]) -> None:
        self._listener = listener
        self._hook = hook

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Turn the hook on, if the task is watched and not in the body of a step."""
        context = task.context
        if context.get(_listener) == self._listener and context.get(_current_step) is None:
            sys.setprofile(self._hook)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Turn the hook off: what Trio does between tasks is not the user's."""
        del task
        sys.setprofile(None)


if sys.version_info >= (3, 12):
    _monitoring: Final = sys.monitoring
    _TOOL_IDS: Final = (4, 3)
    """Those that Python has not set aside for a debugger, for coverage, for a profiler, for an optimizer."""
    _NAME: Final = "durable_trio's determinism sentinel"

    class _Tool:
        """Our place among the tools of ``sys.monitoring``, taken while anybody watches, in any thread."""

        def __init__(self) -> None:
            self._lock = Lock()
            self._users = 0
            self._id: int | None = None

        @property
        def is_full(self) -> bool:
            """Whether other tools have every place."""
            return self._id is None and all(_monitoring.get_tool(id_) is not None for id_ in _TOOL_IDS)

        def enter(self) -> None:
            with self._lock:
                self._users += 1
                if self._id is None:
                    self._id = next(id_ for id_ in _TOOL_IDS if _monitoring.get_tool(id_) is None)
                    self._begin(self._id)

        def leave(self) -> None:
            with self._lock:
                self._users -= 1
                if self._users == 0 and self._id is not None:
                    self._end(self._id)
                    self._id = None

        def _begin(self, id_: int) -> None:
            _monitoring.use_tool_id(id_, _NAME)
            events = _monitoring.events
            _monitoring.register_callback(id_, events.CALL, _call)
            _monitoring.register_callback(id_, events.PY_START, _start)
            _monitoring.set_events(id_, events.CALL)
            for code in PYTHON_CALLS:
                _monitoring.set_local_events(id_, code, events.PY_START)

        def _end(self, id_: int) -> None:
            events = _monitoring.events
            _monitoring.set_events(id_, events.NO_EVENTS)
            for code in PYTHON_CALLS:
                _monitoring.set_local_events(id_, code, events.NO_EVENTS)
            _monitoring.register_callback(id_, events.CALL, None)
            _monitoring.register_callback(id_, events.PY_START, None)
            _monitoring.free_tool_id(id_)

    _tool: Final = _Tool()

    def look_again() -> None:
        """Ask again about lines that were taken for a library's: some of them have become the user's."""
        _monitoring.restart_events()

    def _call(code: CodeType, offset: int, function: object, first: object) -> Any:
        """Be told that *code* calls *function*; never again from this place, if it is a library's."""
        del offset, first
        if not is_users_file(code.co_filename):
            return _monitoring.DISABLE
        if type(function) is BuiltinFunctionType:  # others need not even be hashable
            suspect = C_CALLS.get(function)
            listener = None if suspect is None else _listener.get()
            if suspect is not None and listener is not None:
                listener(suspect, sys._getframe(1))
        return None

    def _start(code: CodeType, offset: int) -> None:
        """Be told that a suspect in Python begins."""
        del offset
        listener = _listener.get()
        if listener is not None:
            frame = sys._getframe(1)
            suspect = PYTHON_CALLS[code](frame)
            if suspect is not None:
                listener(suspect, frame.f_back)

    class MonitoringHook:
        """Tells *listener* by ``sys.monitoring``."""

        def __init__(self, listener: Listener) -> None:
            self._listener = listener

        @property
        def is_taken(self) -> bool:
            """Whether other tools have every place."""
            return _tool.is_full

        @contextmanager
        def on(self) -> Iterator[None]:
            """Watch the calling task, and those that it starts, in the block."""
            _tool.enter()
            token = _listener.set(self._listener)
            try:
                yield
            finally:
                _listener.reset(token)
                _tool.leave()

    Hook: TypeAlias = MonitoringHook
else:

    def look_again() -> None:
        """Do nothing: this hook forgets nothing."""

    Hook: TypeAlias = ProfileHook
