"""``all`` and ``all_settled``: the methods of ``DurableContext`` that gather the outcomes of operations of it.

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
    from durable_trio.settled import Outcome


T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")
T6 = TypeVar("T6")
T7 = TypeVar("T7")
T8 = TypeVar("T8")


class CombinatorMethods(ContextBase):
    """``all`` and ``all_settled``."""

    __slots__ = ()

    @overload
    def all(  # type: ignore[overload-overlap]  # a tuple is an iterable, too; it is listed first
        self, operations: tuple[Operation[T1], Operation[T2]]
    ) -> Operation[tuple[T1, T2]]: ...

    @overload
    def all(  # type: ignore[overload-overlap]  # as above
        self, operations: tuple[Operation[T1], Operation[T2], Operation[T3]]
    ) -> Operation[tuple[T1, T2, T3]]: ...

    @overload
    def all(  # type: ignore[overload-overlap]  # as above
        self, operations: tuple[Operation[T1], Operation[T2], Operation[T3], Operation[T4]]
    ) -> Operation[tuple[T1, T2, T3, T4]]: ...

    @overload
    def all(  # type: ignore[overload-overlap]  # as above
        self, operations: tuple[Operation[T1], Operation[T2], Operation[T3], Operation[T4], Operation[T5]]
    ) -> Operation[tuple[T1, T2, T3, T4, T5]]: ...

    @overload
    def all(  # type: ignore[overload-overlap]  # as above
        self,
        operations: tuple[
            Operation[T1], Operation[T2], Operation[T3], Operation[T4], Operation[T5], Operation[T6]
        ],
    ) -> Operation[tuple[T1, T2, T3, T4, T5, T6]]: ...

    @overload
    def all(  # type: ignore[overload-overlap]  # as above
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
    ) -> Operation[tuple[T1, T2, T3, T4, T5, T6, T7]]: ...

    @overload
    def all(  # type: ignore[overload-overlap]  # as above
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
    ) -> Operation[tuple[T1, T2, T3, T4, T5, T6, T7, T8]]: ...

    @overload
    def all(self, operations: Iterable[Operation[T]]) -> Operation[list[T]]: ...

    def all(self, operations: Iterable[Operation[Any]]) -> Operation[Any]:
        """Run several operations of this context at once; return their values in the order given.

        A tuple of operations gives a tuple of values, any other iterable a list. The first failure cancels
        the others and is raised as it is; that verdict is recorded, so replay raises it again.

        Raises (at once):
            ContextUseError: an operation belongs to another context, or is awaited already.
            ValidationError: something else than an operation was given.
        """
        as_tuple = isinstance(operations, tuple)
        given = arguments.contenders("ctx.all", self._node, operations, may_be_empty=True)
        identity = self._identity(OperationType.CONTEXT, SubType.ALL, None)
        from durable_trio._runtime.combinators_all import AllOperation

        return AllOperation(self._node, identity, given, as_tuple=as_tuple)

    @overload
    def all_settled(
        self, operations: tuple[Operation[T1], Operation[T2]]
    ) -> Operation[list[Outcome[T1 | T2]]]: ...

    @overload
    def all_settled(
        self, operations: tuple[Operation[T1], Operation[T2], Operation[T3]]
    ) -> Operation[list[Outcome[T1 | T2 | T3]]]: ...

    @overload
    def all_settled(
        self, operations: tuple[Operation[T1], Operation[T2], Operation[T3], Operation[T4]]
    ) -> Operation[list[Outcome[T1 | T2 | T3 | T4]]]: ...

    @overload
    def all_settled(
        self, operations: tuple[Operation[T1], Operation[T2], Operation[T3], Operation[T4], Operation[T5]]
    ) -> Operation[list[Outcome[T1 | T2 | T3 | T4 | T5]]]: ...

    @overload
    def all_settled(
        self,
        operations: tuple[
            Operation[T1], Operation[T2], Operation[T3], Operation[T4], Operation[T5], Operation[T6]
        ],
    ) -> Operation[list[Outcome[T1 | T2 | T3 | T4 | T5 | T6]]]: ...

    @overload
    def all_settled(
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
    ) -> Operation[list[Outcome[T1 | T2 | T3 | T4 | T5 | T6 | T7]]]: ...

    @overload
    def all_settled(
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
    ) -> Operation[list[Outcome[T1 | T2 | T3 | T4 | T5 | T6 | T7 | T8]]]: ...

    @overload
    def all_settled(self, operations: Iterable[Operation[T]]) -> Operation[list[Outcome[T]]]: ...

    def all_settled(self, operations: Iterable[Operation[Any]]) -> Operation[list[Outcome[Any]]]:
        """Run several operations of this context to their ends, at once; return their outcomes in the order given.

        A failure cancels nothing and is raised by nobody: it is the ``error`` of its ``Outcome``. Nothing is recorded
        besides the operations, so replay gives the same list.

        Raises (at once):
            ContextUseError: an operation belongs to another context, or is awaited already.
            ValidationError: something else than an operation was given.
        """
        given = arguments.contenders("ctx.all_settled", self._node, operations, may_be_empty=True)
        identity = self._identity(OperationType.CONTEXT, SubType.ALL, None)
        from durable_trio._runtime.combinators_all import AllSettledOperation

        return AllSettledOperation(self._node, identity, given)
