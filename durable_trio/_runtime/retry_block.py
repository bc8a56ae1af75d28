"""Blocks that are tried again as a whole: ``ctx.retry``, and ``item_retry`` of a batch.

A step retries itself; a *block* of operations is retried by running it again in a new child context, with nothing
of the failed attempt but its side effects left. Attempts and the waits between them take turns on one counter in
the namespace around them: attempt, wait, attempt, ... So backoff is durable, and an attempt is replayed, resumed
and cut short like any child context.

What is to follow a failed attempt is decided once, from the exception as the block raised it, and recorded with the
failure (``attempt_record``). The program waits and tries again because the record says so.

The last attempt's failure is the block's: ``ChildContextError`` with the original type, message and data, or the
user's registered class.
"""

from __future__ import annotations

from contextlib import nullcontext
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from durable_trio._protocol.attempt_record import decode_failed_attempt, encode_failed_attempt
from durable_trio._protocol.operation import OperationType, SubType
from durable_trio._protocol.replay import Identity
from durable_trio._protocol.value_class import frozen_dataclass as dataclass
from durable_trio._runtime.child import ContextOperation
from durable_trio._runtime.failures import NEVER_RETRIED, error_object, recorded_error
from durable_trio._runtime.wait import WaitOperation
from durable_trio.exceptions import ChildContextError
from durable_trio.retries import delay_seconds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager

    from durable_trio._protocol.operation import ErrorObject
    from durable_trio._runtime.node import ContextNode
    from durable_trio.retries import RetryStrategy
    from durable_trio.serdes import SerDes

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class RetriedBlock:
    """What is tried, and how often.

    *grants* has the last word on another attempt that *strategy* wants, by the number of the attempt that failed;
    it is asked only then.
    """

    body: Callable[..., Any]
    args: tuple[Any, ...]
    strategy: RetryStrategy
    serdes: SerDes
    summary: Callable[[Any], str] | None = None
    grants: Callable[[int], bool] | None = None

    def delay_after(self, error: Exception, attempt: int) -> int | None:
        """Return after how many seconds the next attempt begins; None: there is none.

        Raises:
            Exception: the strategy failed, or answered something that is no delay.
        """
        answer = None if isinstance(error, NEVER_RETRIED) else self.strategy(error, attempt)
        if answer is None:
            return None
        seconds = delay_seconds(answer)
        return seconds if self.grants is None or self.grants(attempt) else None


async def run_attempts(node: ContextNode, block: RetriedBlock) -> Any:
    """Run *block* in the body of *node*, as often as it takes.

    Raises:
        ChildContextError: the last attempt failed; or the registered class that it failed with.
    """
    for number in count(1):
        attempt = Attempt[Any](node, block, number)
        try:
            return await attempt
        except Exception as error:
            if attempt.retry_after is None or attempt.error is not error:
                raise
        await WaitOperation(node, _identity(node, OperationType.WAIT, "backoff", number), attempt.retry_after)
    raise AssertionError("there is always a next number")


def _identity(node: ContextNode, type_: OperationType, role: str, number: int) -> Identity:
    sub_type = SubType.WAIT if type_ is OperationType.WAIT else SubType.RUN_IN_CHILD_CONTEXT
    return Identity(
        id=node.next_operation_id(),
        type=type_,
        sub_type=sub_type,
        name=f"{role}-{number}",
        parent_id=node.parent_id,
        is_default_name=True,
    )


class Attempt(ContextOperation[T_co]):
    """One attempt of a block; runs where the block's own body runs.

    Attributes:
        retry_after: once it has failed, after how many seconds there is another one; None: there is none.
    """

    __slots__ = ("_block", "_number", "retry_after")

    kind: ClassVar[str] = "attempt"

    def __init__(self, node: ContextNode, block: RetriedBlock, number: int) -> None:
        identity = _identity(node, OperationType.CONTEXT, "attempt", number)
        super().__init__(node, identity, block.body, block.args, serdes=block.serdes, summary=block.summary)
        self._block = block
        self._number = number
        self.retry_after: int | None = None

    def _run_actor(self, run: Callable[[], Awaitable[T_co]]) -> Awaitable[T_co]:
        return run()

    def _recorded_failure(self, error: Exception) -> ErrorObject:
        try:
            recorded = error_object(error)
            delay = self._block.delay_after(error, self._number)
        except Exception as broken:  # noqa: BLE001  # a strategy that fails, fails the block
            broken.__context__ = error
            recorded, delay = error_object(broken), None
        return encode_failed_attempt(recorded, delay)

    def _failure(self, recorded: ErrorObject | None) -> Exception:
        error, self.retry_after = decode_failed_attempt(recorded)
        return recorded_error(error, ChildContextError, self._identity)


class RetryOperation(ContextOperation[T_co]):
    """``ctx.retry``: a context that holds the attempts and the waits between them."""

    __slots__ = ()

    kind: ClassVar[str] = "retry"

    def _body_observed(self, child: ContextNode) -> AbstractContextManager[None]:
        return nullcontext()  # the attempts run the user's function, and are seen
