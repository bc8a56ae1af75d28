"""``retry``: the method of ``DurableContext`` that tries a block of operations again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from durable_trio._protocol.operation import OperationType, SubType
from durable_trio._runtime import arguments
from durable_trio._runtime.bodies import default_name, refuse_generator
from durable_trio._runtime.context_base import ContextBase
from durable_trio.config import check_callable, check_plain
from durable_trio.exceptions import ValidationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio._runtime.context import DurableContext
    from durable_trio._runtime.operation import Operation
    from durable_trio.retries import RetryStrategy
    from durable_trio.serdes import SerDes

T = TypeVar("T")
Args = TypeVarTuple("Args")


class RetryMethods(ContextBase):
    """``retry``."""

    __slots__ = ()

    def retry(
        self,
        fn: Callable[[DurableContext, *Args], Awaitable[T]],
        *args: *Args,
        retry: RetryStrategy | None = None,
        strategy: RetryStrategy | None = None,
        name: str | None = None,
        summary: Callable[[T], str] | None = None,
        serdes: SerDes | None = None,
        result_type: Any = None,
    ) -> Operation[T]:
        """Run ``fn(attempt_ctx, *args)``, and run it again from its beginning when it fails.

        Each attempt is a child context, with ids of its own; between two there is a durable wait. What follows a
        failure is decided once, and recorded with it: replay never asks the strategy again.

        Args:
            retry: ``(error, attempt) -> delay or None``, as for a step; *error* is what *fn* raised. The default is
                ``RetryPresets.default()``: 6 attempts.
            strategy: another name of *retry*.
            name: 1 to 256 printable ASCII characters; the default is the function's name.
            summary: makes the payload to record of a result that is too big to keep; the default is "".
            serdes: how the result is stored.
            result_type: what the result comes back as; the default is *fn*'s return annotation, as for a step.

        Raises (when awaited):
            ChildContextError: the strategy gave up; it carries the last attempt's original type, message and data.

        Raises (at once):
            ValidationError: an argument is out of range, or both *retry* and *strategy* are given.
        """
        from durable_trio._runtime.retry_block import RetriedBlock, RetryOperation, run_attempts

        self._node.check_use("start a retry")
        check_callable("fn", fn)
        refuse_generator("fn", fn)
        if retry is not None and strategy is not None:
            raise ValidationError("retry and strategy are two names of one argument: give one of them")
        if summary is not None:
            check_plain("summary", summary)
        block = RetriedBlock(
            fn,
            args,
            arguments.strategy(strategy if retry is None else retry),
            self._result_store(fn, serdes, result_type),
            summary,
        )

        async def attempts(child: RetryMethods) -> Any:
            return await run_attempts(child._node, block)

        identity = self._identity(OperationType.CONTEXT, SubType.RETRY, name, default_name(fn) or "retry")
        return RetryOperation(self._node, identity, attempts, (), serdes=block.serdes, summary=summary)
