"""What every group of a context's methods stands on: the node, identities, serializers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durable_trio._protocol.replay import Identity
from durable_trio._runtime import arguments
from durable_trio._runtime.typed import result_serdes, type_serdes
from durable_trio.config import (
    check_name,
)
from durable_trio.serdes import SerDes, plain_json

if TYPE_CHECKING:
    from durable_trio._protocol.operation import OperationType
    from durable_trio._runtime.compensations import Registered
    from durable_trio._runtime.node import ContextNode


class ContextBase:
    """The part of ``DurableContext`` that its groups of methods share."""

    __slots__ = ("_compensations", "_logger", "_node")

    def __init__(self, node: ContextNode) -> None:
        self._node = node
        self._logger: Any = None
        # What ctx.run_compensations undoes; None as long as nothing is registered.
        self._compensations: list[Registered] | None = None

    def _identity(
        self, type_: OperationType, sub_type: str, name: str | None, default: str | None = None
    ) -> Identity:
        given, node = check_name(name), self._node
        return Identity(
            node.next_operation_id(),
            type_,
            sub_type,
            default if given is None else given,
            node.parent_id,
            given is None,
        )

    def _result_store(self, fn: Any, serdes: SerDes | None, result_type: Any) -> SerDes:
        """Return how the result of *fn* is stored: by type, unless a serializer is given."""
        own = arguments.checked_serdes(serdes)
        if result_type is not None:
            return type_serdes(result_type, own or self._node.invocation.options.serdes)
        return own or result_serdes(fn, self._node.invocation.options.serdes)

    def _answer_serdes(self, serdes: SerDes | None, result_type: Any) -> SerDes | None:
        """Return how an answer from outside is read; None if neither is given."""
        own = arguments.checked_serdes(serdes)
        return own if result_type is None else type_serdes(result_type, own or plain_json)

    def _serdes(self, serdes: SerDes | None) -> SerDes:
        return arguments.checked_serdes(serdes) or self._node.invocation.options.serdes
