"""``asyncio_body``: code that only runs on asyncio, as the body of a step.

A handler runs on Trio. A library that needs an asyncio event loop (``aiohttp``, ``aiosqlite``, ``asyncpg``, ...)
cannot be awaited there. ``asyncio_body`` makes an asyncio function one that Trio can run: it opens an asyncio
event loop *on* Trio, by trio-asyncio, and runs the function as a task of it. So there is one thread and one
clock, and cancellation reaches the asyncio task: at the step's time limit, when a batch is decided early, when
the execution ends or the time of the invocation is up.

*One loop per call.* The loop is opened for a call and closed after it, as ``asyncio.run`` does: tasks that the
function leaves behind are cancelled and waited for, so nothing outlives the step. Sessions, connections and
locks of asyncio belong to their loop, and so cannot be shared between calls.

*Two kinds of cancellation.* A Trio cancellation arrives as one ``asyncio.CancelledError``. A function that ends
with a ``CancelledError`` that nobody here asked for has cancelled itself; asyncio's class is no ``Exception``,
and would end the whole invocation, so it leaves as ``concurrent.futures.CancelledError``: a failure of this step,
which is retried like any other.

trio-asyncio is imported at the first call, and then changes asyncio's global functions to look for its loops
first; that ``asyncio.run`` goes through Trio afterwards is undone. It does not import on Python 3.14, whose
asyncio has lost what it builds on.
"""

from __future__ import annotations

import functools
import inspect
import threading
import warnings
from typing import TYPE_CHECKING, Any, TypeVar

import outcome
import trio

from durable_trio.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["asyncio_body"]

AsyncFunction = TypeVar("AsyncFunction", bound="Callable[..., Awaitable[Any]]")
T = TypeVar("T")


def asyncio_body(fn: AsyncFunction) -> AsyncFunction:
    """Make *fn*, an async function written for asyncio, one that can be the body of a step.

    A decorator, or used at the call: ``await ctx.step(asyncio_body(fetch), url)``. The result has the name, the
    signature and the annotations of *fn*; context variables and ``current_step()`` are visible in *fn*. Needs the
    extra ``durable_trio[asyncio]``.

    If the step is cancelled, *fn* gets an ``asyncio.CancelledError`` and is waited for.

    Raises (at once):
        ConfigurationError: *fn* is not an async function.

    Raises (when called):
        ConfigurationError: trio-asyncio cannot be imported.
        concurrent.futures.CancelledError: *fn* cancelled itself.
    """
    if not _is_async(fn):
        raise ConfigurationError(
            f"asyncio_body takes an async function, not {fn!r}: a plain function needs no asyncio loop to be a"
            " step's body"
        )

    @functools.wraps(fn)
    async def body(*args: Any, **kwargs: Any) -> Any:
        return await _run(functools.partial(fn, *args, **kwargs))

    return body  # type: ignore[return-value]  # of the same signature


def _is_async(fn: Any) -> bool:
    while isinstance(fn, functools.partial):
        fn = fn.func
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004


async def _run(call: Callable[[], Awaitable[T]]) -> T:
    """Run *call* as a task of an asyncio loop that is open for it alone."""
    import asyncio  # asked for by few handlers
    from concurrent.futures import CancelledError

    open_loop = _trio_asyncio().open_loop
    ended: list[outcome.Outcome[T]] = []

    async def task() -> None:
        try:
            ended.append(outcome.Value(await call()))
        except asyncio.CancelledError:
            raise  # asyncio's business; see below
        except BaseException as error:  # noqa: BLE001  # SystemExit, too: it would stop the loop, and not come out
            ended.append(outcome.Error(error))

    try:
        async with open_loop() as loop:
            loop.set_exception_handler(_log_loop_error)
            try:
                await loop.run_aio_coroutine(task())
            except asyncio.CancelledError as error:
                cancelled = CancelledError("the asyncio code of the step cancelled itself")
                cancelled.__cause__ = error
                ended.append(outcome.Error(cancelled))
    except (trio.Cancelled, BaseExceptionGroup) as error:
        # The loop has passed the cancellation on as its own. Raised here again, it says where it came from.
        if not isinstance(error, BaseExceptionGroup) or error.split(trio.Cancelled)[1] is None:
            await trio.lowlevel.checkpoint_if_cancelled()
        raise
    return ended[0].unwrap()


def _log_loop_error(loop: Any, context: dict[str, Any]) -> None:
    """Log an error that belongs to no awaited task, as asyncio does; trio-asyncio would end the loop with it."""
    import asyncio

    asyncio.BaseEventLoop.default_exception_handler(loop, context)


_importing = threading.Lock()  # several threads may run a handler each


@functools.cache
def _trio_asyncio() -> Any:
    import asyncio

    with _importing, warnings.catch_warnings():
        # On Python 3.12 and 3.13 it defines a class on one that is deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        new_event_loop = asyncio.new_event_loop
        try:
            import trio_asyncio  # type: ignore[import-untyped]  # it has no types
        except (ImportError, AttributeError) as error:
            raise ConfigurationError(
                "asyncio_body needs trio-asyncio, which cannot be imported: install durable_trio[asyncio]."
                " trio-asyncio does not support Python 3.14; there, make the body of the step a plain function"
                " that calls asyncio.run(...)"
            ) from error
        # Imported for the first time, it has made asyncio.run() run on Trio everywhere. That is for the program
        # to ask for.
        asyncio.new_event_loop = asyncio.events.new_event_loop = new_event_loop
    return trio_asyncio
