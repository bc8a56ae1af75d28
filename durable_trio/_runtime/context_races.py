"""``race`` and ``any``: the methods of ``DurableContext`` that take the first of several operations.

Most of this file is signatures: type checkers see the type of every operation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from durable_trio._protocol.operation import OperationType, SubType
from durable_trio._runtime import arguments
from durable_trio._runtime.context_base import ContextBase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from durable_trio._runtime.operation import Operation


T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")
T6 = TypeVar("T6")
T7 = TypeVar("T7")
T8 = TypeVar("T8")


class RaceMethods(ContextBase):
    """``race`` and ``any``."""

    __slots__ = ()

    @overload
    def race(self, operations: tuple[Operation[T1], Operation[T2]]) -> Operation[T1 | T2]: ...

    @overload
    def race(
        self, operations: tuple[Operation[T1], Operation[T2], Operation[T3]]
    ) -> Operation[T1 | T2 | T3]: ...

    @overload
    def race(
        self, operations: tuple[Operation[T1], Operation[T2], Operation[T3], Operation[T4]]
    ) -> Operation[T1 | T2 | T3 | T4]: ...

    @overload
    def race(
        self, operations: tuple[Operation[T1], Operation[T2], Operation[T3], Operation[T4], Operation[T5]]
    ) -> Operation[T1 | T2 | T3 | T4 | T5]: ...

    @overload
    def race(
        self,
        operations: tuple[
            Operation[T1], Operation[T2], Operation[T3], Operation[T4], Operation[T5], Operation[T6]
        ],
    ) -> Operation[T1 | T2 | T3 | T4 | T5 | T6]: ...

    @overload
    def race(
        self,
        operations: tuple[
            Operation[T1],
            Operation[T2],
            Operation[T3],
            Operation[T4],
            Operation[T5],
            Operation[T6],
            Operation[T7],
        ],
    ) -> Operation[T1 | T2 | T3 | T4 | T5 | T6 | T7]: ...

    @overload
    def race(
        self,
        operations: tuple[
            Operation[T1],
            Operation[T2],
            Operation[T3],
            Operation[T4],
            Operation[T5],
            Operation[T6],
            Operation[T7],
            Operation[T8],
        ],
    ) -> Operation[T1 | T2 | T3 | T4 | T5 | T6 | T7 | T8]: ...

    @overload
    def race(self, operations: Iterable[Operation[T]]) -> Operation[T]: ...

    def race(self, operations: Iterable[Operation[Any]]) -> Operation[Any]:
        """Run several operations of this context at once; give the outcome of the first that ends.

        If that one failed, its error is raised. The others are cancelled at once. A suspended operation is neither
        success nor failure: the race goes on in later invocations, and of several that have ended in the meantime
        the one that ended first by the service's clock wins, then the one given first. The winner is recorded
        before its outcome is given, and replay obeys.

        A wait, callback result or invoke that lost is still pending at the service and may be awaited again; any
        other operation that lost raises ``OperationCancelledError``, unless its end is recorded.

        Raises (at once):
            ValidationError: there is no operation, or something else than an operation was given.
            ContextUseError: an operation belongs to another context, or is awaited already.
        """
        given = arguments.contenders("ctx.race", self._node, operations)
        from durable_trio._runtime.race import RaceOperation

        return RaceOperation(self._node, self._identity(OperationType.CONTEXT, SubType.RACE, None), given)

    @overload
    def any(self, operations: tuple[Operation[T1], Operation[T2]]) -> Operation[T1 | T2]: ...

    @overload
    def any(
        self, operations: tuple[Operation[T1], Operation[T2], Operation[T3]]
    ) -> Operation[T1 | T2 | T3]: ...

    @overload
    def any(
        self, operations: tuple[Operation[T1], Operation[T2], Operation[T3], Operation[T4]]
    ) -> Operation[T1 | T2 | T3 | T4]: ...

    @overload
    def any(
        self, operations: tuple[Operation[T1], Operation[T2], Operation[T3], Operation[T4], Operation[T5]]
    ) -> Operation[T1 | T2 | T3 | T4 | T5]: ...

    @overload
    def any(
        self,
        operations: tuple[
            Operation[T1], Operation[T2], Operation[T3], Operation[T4], Operation[T5], Operation[T6]
        ],
    ) -> Operation[T1 | T2 | T3 | T4 | T5 | T6]: ...

    @overload
    def any(
        self,
        operations: tuple[
            Operation[T1],
            Operation[T2],
            Operation[T3],
            Operation[T4],
            Operation[T5],
            Operation[T6],
            Operation[T7],
        ],
    ) -> Operation[T1 | T2 | T3 | T4 | T5 | T6 | T7]: ...

    @overload
    def any(
        self,
        operations: tuple[
            Operation[T1],
            Operation[T2],
            Operation[T3],
            Operation[T4],
            Operation[T5],
            Operation[T6],
            Operation[T7],
            Operation[T8],
        ],
    ) -> Operation[T1 | T2 | T3 | T4 | T5 | T6 | T7 | T8]: ...

    @overload
    def any(self, operations: Iterable[Operation[T]]) -> Operation[T]: ...

    def any(self, operations: Iterable[Operation[Any]]) -> Operation[Any]:
        """Run several operations of this context at once; give the value of the first that succeeds.

        Failures are passed over while another operation may still succeed. Everything else is as for ``race``.

        Raises (when awaited):
            ExceptionGroup: every operation failed; it holds their errors, in the order given.

        Raises (at once):
            ValidationError: there is no operation, or something else than an operation was given.
            ContextUseError: an operation belongs to another context, or is awaited already.
        """
        given = arguments.contenders("ctx.any", self._node, operations)
        from durable_trio._runtime.race import AnyOperation

        return AnyOperation(self._node, self._identity(OperationType.CONTEXT, SubType.ANY, None), given)
