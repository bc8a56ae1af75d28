"""``step_with_compensation`` and ``run_compensations``: the methods of ``DurableContext`` that undo when they are told to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, cast, overload

from durable_trio._protocol.operation import OperationType, SubType
from durable_trio._runtime.bodies import refuse_generator
from durable_trio._runtime.context_base import ContextBase
from durable_trio.config import check_callable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio._runtime.context import DurableContext
    from durable_trio._runtime.operation import Operation
    from durable_trio._runtime.saga_report import CompensationReport
    from durable_trio.config import AnyDuration, StepConfig, StepSemantics
    from durable_trio.retries import RetryStrategy
    from durable_trio.serdes import SerDes

T = TypeVar("T")
Args = TypeVarTuple("Args")


class CompensationMethods(ContextBase):
    """``step_with_compensation`` and ``run_compensations``."""

    __slots__ = ()

    @overload
    def step_with_compensation(
        self,
        fn: Callable[[*Args], Awaitable[T]],
        *args: *Args,
        compensate: Callable[[DurableContext, T], Awaitable[object]],
        name: str | None = ...,
        retry: RetryStrategy | None = ...,
        semantics: StepSemantics | None = ...,
        timeout: AnyDuration | None = ...,
        serdes: SerDes | None = ...,
        result_type: Any = ...,
        config: StepConfig | None = ...,
    ) -> Operation[T]: ...

    @overload
    def step_with_compensation(
        self,
        fn: Callable[[*Args], Awaitable[T] | T],
        *args: *Args,
        compensate: Callable[[DurableContext, T], Awaitable[object]],
        name: str | None = ...,
        retry: RetryStrategy | None = ...,
        semantics: StepSemantics | None = ...,
        timeout: AnyDuration | None = ...,
        serdes: SerDes | None = ...,
        result_type: Any = ...,
        config: StepConfig | None = ...,
    ) -> Operation[T]: ...

    def step_with_compensation(
        self,
        fn: Callable[[*Args], Any],
        *args: *Args,
        compensate: Callable[[DurableContext, Any], Awaitable[object]],
        **options: Any,
    ) -> Operation[Any]:
        """Run a step, as ``step`` does, and keep ``compensate(child_ctx, result)`` for ``run_compensations``.

        Nothing runs by itself: a ``saga`` does, and is what you want unless you decide case by case.

        Raises (at once):
            ValidationError: an argument is out of range.
        """
        check_callable("compensate", compensate)
        refuse_generator("compensate", compensate)
        from durable_trio._runtime.compensations import Registered

        operation: Operation[Any] = cast("DurableContext", self).step(fn, *args, **options)
        if self._compensations is None:
            self._compensations = []
        self._compensations.append(Registered(len(self._compensations) + 1, operation, compensate))
        return operation

    def run_compensations(self, *, name: str | None = None) -> Operation[CompensationReport]:
        """Undo the steps of this context that were registered since the last time and succeeded, last first.

        Each compensation is a child context: it may retry, and wait. One that fails does not keep the others from
        running; the report says so, and nothing is raised. After a crash it goes on where it was; when it is
        through, replay gives the recorded report.

        Args:
            name: 1 to 256 printable ASCII characters; none by default.
        """
        self._node.check_use("run compensations")
        from durable_trio._runtime.compensations import CompensationsOperation

        identity = self._identity(OperationType.CONTEXT, SubType.SAGA, name)
        registered, self._compensations = self._compensations or (), None
        return CompensationsOperation(self._node, identity, registered)
