"""What an operation and its record have to do with each other: identity, payloads, and the words to the service."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, ClassVar, Final

from durable_trio._protocol.operation import OperationUpdate
from durable_trio._protocol.replay import Identity, difference
from durable_trio.exceptions import (
    DurableError,
    NonDeterministicExecutionError,
    RetryableSerDesError,
    SerDesError,
)
from durable_trio.serdes import SerdesContext, plain_json
from durable_trio.serdes.ready import tagged_json

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Any

    from durable_trio._protocol.operation import (
        ErrorObject,
        OperationAction,
        OperationRecord,
        UpdateOptions,
    )
    from durable_trio._runtime.invocation import Invocation
    from durable_trio._runtime.node import ContextNode
    from durable_trio.serdes import SerDes

_UNOBSERVED: Final = nullcontext()

_UNREAD: Final = SerdesContext("", "")
"""For the serializers that do not look at it."""


class RecordedOperation:
    """An operation as its record sees it.

    Attributes:
        id: the operation's id in the execution.
        name: its name, or None.
        invocation: the invocation that it belongs to.
    """

    __slots__ = ("__weakref__", "_identity", "_node", "id", "invocation", "name")

    kind: ClassVar[str] = "operation"

    def __init__(self, node: ContextNode, identity: Identity) -> None:
        self._node = node
        self.invocation: Invocation = node.invocation  # it is asked for a dozen times in an operation's life
        self._identity = identity
        self.id = identity.id
        self.name = identity.name

    @property
    def title(self) -> str:
        """What to call the operation in a message."""
        return f"{self.kind} {self.name!r}" if self.name else f"{self.kind} {self.id[:8]}"

    @property
    def identity(self) -> Identity:
        """What it is, and where in the program."""
        return self._identity

    @property
    def parent_id(self) -> str | None:
        """The id of the context it belongs to; None at the root."""
        return self._identity.parent_id

    def observed(
        self, attempt: int | None = None, *, is_replaying_children: bool = False
    ) -> AbstractContextManager[None]:
        """Return what goes around a run of the operation's body: plugins are told of it, if there are any."""
        plugins = self.invocation.plugins
        if plugins is None:
            return _UNOBSERVED
        return plugins.user_function(
            self._identity, attempt=attempt, is_replaying_children=is_replaying_children
        )

    def refuse_record(self) -> None:
        """Fail the execution if something is recorded under the id of an operation that records nothing.

        Raises:
            NonDeterministicExecutionError: it was recorded by an earlier form of the program.
        """
        record = self.invocation.state.get(self.id)
        if record is not None:
            self.invocation.fail(
                NonDeterministicExecutionError(
                    f"{self.title} records nothing of its own, but a {record.sub_type or record.type} is recorded at"
                    " this place: whether a context is virtual or flat must not change under a running execution."
                )
            )

    # --- wire ---------------------------------------------------------------------------------------------

    def update(
        self,
        action: OperationAction,
        *,
        payload: str | None = None,
        error: ErrorObject | None = None,
        options: UpdateOptions | None = None,
    ) -> OperationUpdate:
        """Return the update that asks for *action* on this operation."""
        identity = self._identity
        return OperationUpdate(
            identity.id,
            identity.type,
            action,
            identity.parent_id,
            identity.name,
            identity.sub_type,
            payload,
            error,
            options,
        )

    def encode(self, serdes: SerDes, value: Any) -> str:
        """Return the payload of *value*.

        Raises:
            SerDesError: *serdes* refused it, or failed.
            RetryableSerDesError: it failed for now; the invocation ends with it.
        """
        try:
            return serdes.serialize(value, self._serdes_context(serdes))
        except RetryableSerDesError as error:
            self.invocation.fail(error)
        except DurableError:
            raise
        except Exception as error:
            raise SerDesError(
                f"the serdes of {self.title} cannot serialize: {error!r}; raise RetryableSerDesError in"
                " it for trouble that passes"
            ) from error

    def decode(self, serdes: SerDes, payload: str, ctx: SerdesContext | None = None) -> Any:
        """Return the value of *payload*, which is this operation's own unless *ctx* says whose it is.

        Raises:
            SerDesError: *serdes* refused it, or failed.
            RetryableSerDesError: it failed for now; the invocation ends with it.
        """
        try:
            return serdes.deserialize(payload, ctx or self._serdes_context(serdes))
        except RetryableSerDesError as error:
            # Even if the program catches it: the first run saw the value, so a replay must not go another way.
            self.invocation.fail(error)
        except DurableError:
            raise
        except Exception as error:
            raise SerDesError(
                f"the serdes of {self.title} cannot deserialize: {error!r}; raise RetryableSerDesError"
                " in it for trouble that passes"
            ) from error

    def _serdes_context(self, serdes: SerDes) -> SerdesContext:
        if serdes is tagged_json or serdes is plain_json:
            return _UNREAD
        return SerdesContext(self.id, self.invocation.state.durable_execution_arn, self.name)

    # --- identity -----------------------------------------------------------------------------------------

    def recorded(self) -> OperationRecord | None:
        """Return the record of this operation, after making sure that it is this operation's.

        Raises:
            NonDeterministicExecutionError: it is the record of something else; the execution fails.
        """
        record = self.invocation.state.get(self.id)
        if record is None:
            if self._node.is_past:
                self.invocation.fail(
                    NonDeterministicExecutionError(
                        f"{self.title} is new, but its context has finished: a context whose result is too big to"
                        " keep runs its body again, and must ask for the operations that it asked for before."
                    )
                )
            return None
        if self.invocation.plugins is not None and not record.status.is_terminal:
            self.invocation.plugins.operation_met(record)
        differs = difference(record, self._identity)
        if differs is None:
            return record
        if differs.only_default_name:
            self.invocation.log.warning(
                "default name changed", operationId=self.id, recorded=record.name, now=self.name
            )
            return record
        self.invocation.fail(
            NonDeterministicExecutionError(
                f"{self.title} does not match what was recorded at this place:\n{differs.text}\n"
                "The code has changed since the execution started, or its order of operations depends on something"
                " that is not recorded (time, randomness, iteration over a set, plain tasks). Deploy changed code"
                " under a new version, and decide by recorded values only."
            )
        )
