"""How the user's functions are called.

A body that is async runs in the task of the context it belongs to; a plain function runs in a worker thread,
with the context variables of its caller, and is joined: a thread cannot be stopped. What counts is whether
the *call* returns an awaitable: a partial, a lambda around an async function, an object with an async
``__call__`` are all async. Where that cannot be told beforehand, the call is made in a thread, and what it
returns is awaited.

Users' bodies have a thread limiter of their own: a map over blocking functions must not starve the client's
calls to the service.
"""

from __future__ import annotations

import functools
import inspect
import sys
from contextlib import contextmanager
from types import CodeType
from typing import TYPE_CHECKING, Any, Final

import trio

from durable_trio._protocol import limits
from durable_trio.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from durable_trio._runtime.invocation import Invocation

_COROUTINE: Final = inspect.CO_COROUTINE

MAX_BODY_THREADS: Final = 40
"""How many plain functions run at once in one Trio run, whatever invocations they belong to."""

_limiter: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("durable_trio_body_limiter")


def body_limiter() -> trio.CapacityLimiter:
    """Return the limiter of the threads that run users' plain functions."""
    try:
        return _limiter.get()
    except LookupError:
        limiter = trio.CapacityLimiter(MAX_BODY_THREADS)
        _limiter.set(limiter)
        return limiter


def _unwrapped(fn: Any) -> Any:
    while isinstance(fn, functools.partial):
        fn = fn.func
    return fn


def _code_flags(fn: Any) -> int:
    """Return what the compiler says of a function: what is usual, without ``inspect``'s thoroughness."""
    code = getattr(fn, "__code__", None)
    return code.co_flags if type(code) is CodeType else 0


def is_async_function(fn: Any) -> bool:
    """Tell whether calling *fn* certainly gives an awaitable."""
    fn = _unwrapped(fn)
    if _code_flags(fn) & _COROUTINE:
        return True
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004


def refuse_generator(argument: str, fn: Any) -> None:
    """Refuse generator functions: calling one runs nothing.

    Raises:
        ConfigurationError: names the argument.
    """
    fn = _unwrapped(fn)
    if _code_flags(fn) & _COROUTINE:
        return
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise ConfigurationError(
            f"{argument} must be a function that returns, not a generator function: {fn!r}"
        )


async def call_body(invocation: Invocation, fn: Callable[..., Any], *args: Any) -> Any:
    """Run a step's body, a submitter or a check: inline if it is async, else in a worker thread.

    A thread is joined if the call is cancelled; only when the invocation's time is up it is abandoned.
    """
    if is_async_function(fn):
        return await fn(*args)
    # In a tuple, because Trio refuses a coroutine as a thread's result.
    (result,) = await _call_in_thread(invocation, lambda: (fn(*args),))
    return await result if inspect.isawaitable(result) else result


async def _call_in_thread(invocation: Invocation, fn: Callable[[], tuple[Any]]) -> tuple[Any]:
    with invocation.clock.held(), invocation.deadline.watch_body(shield=True) as scope:
        run_sync = _run_sync_in_thread()
        ended: tuple[Any] = await run_sync(fn, limiter=body_limiter(), abandon_on_cancel=scope is not None)
        return ended
    invocation.log.warning(
        "a plain function was abandoned: the time of the invocation is up", thread=repr(fn)
    )
    await trio.lowlevel.checkpoint()  # the scope of the step's body is cancelled as well
    raise AssertionError("a thread was abandoned without the deadline")


def _run_sync_in_thread() -> Any:
    """Return Trio's function for it, or anyio's, which is Trio's in a thread known to ``anyio.from_thread``."""
    if "anyio.from_thread" not in sys.modules:
        return trio.to_thread.run_sync  # nobody can be about to call it; anyio costs cold start
    from anyio.to_thread import run_sync

    return run_sync


def call_context_body(fn: Callable[..., Any], *args: Any) -> Awaitable[Any]:
    """Call the body of a context, which has to be async; return what is to be awaited.

    Raises:
        ConfigurationError: it is not async.
    """
    result = fn(*args)
    if not inspect.isawaitable(result):
        raise ConfigurationError(
            f"the body of a context must be async, but {default_name(fn) or fn!r} returned a"
            f" {type(result).__name__}: declare it with 'async def', or run it as a step"
        )
    return result


@contextmanager
def closed_on_error(awaitable: Awaitable[Any]) -> Iterator[None]:
    """Do something before *awaitable* is awaited; if it fails, do not leave a coroutine behind."""
    try:
        yield
    except BaseException:
        if inspect.iscoroutine(awaitable):
            awaitable.close()
        raise


def default_name(fn: Any) -> str | None:
    """Return the name an operation gets from its function, or None if it has none to give.

    The function's ``__name__``, partials unwrapped; characters outside printable ASCII become ``?``; cut to
    256 characters.
    """
    fn = _unwrapped(fn)
    name = getattr(fn, "__name__", None) or type(fn).__name__
    return fitting_name(name) if name != "<lambda>" else None


def fitting_name(name: str) -> str:
    """Make *name* fit the service: printable ASCII, at most 256 characters."""
    if limits.is_operation_name(name):
        return name
    return "".join(c if " " <= c <= "~" else "?" for c in name)[: limits.MAX_NAME_LENGTH] or "?"
