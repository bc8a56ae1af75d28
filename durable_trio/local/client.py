"""The local service as the runtime sees it: a ``ServiceClient`` in the same process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable_trio.exceptions import CheckpointError, GetStateError, InvalidTokenError, ServiceError
from durable_trio.local.errors import LocalServiceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durable_trio._protocol.operation import OperationUpdate
    from durable_trio.clients import CheckpointResponse, StatePage
    from durable_trio.clock import Clock
    from durable_trio.local.service_base import ServiceBase

__all__ = ["LocalClient"]


class LocalClient:
    """Calls a ``LocalService`` directly. Any number of clients may share one service.

    Attributes:
        clock: the time by which the service keeps its timers.
    """

    def __init__(self, service: ServiceBase) -> None:
        self._service = service
        self.clock: Clock = service.clock

    def __repr__(self) -> str:
        return f"<LocalClient of {self._service!r}>"

    async def checkpoint(
        self,
        *,
        durable_execution_arn: str,
        checkpoint_token: str,
        updates: Sequence[OperationUpdate],
        client_token: str,
    ) -> CheckpointResponse:
        """Record *updates* and return what changed; see ``ServiceClient``.

        Raises:
            InvalidTokenError: the token is spent, or the execution has ended.
            CheckpointError: an update breaks a rule, or (``is_retryable``) the service failed.
        """
        try:
            return await self._service.checkpoint(
                durable_execution_arn=durable_execution_arn,
                checkpoint_token=checkpoint_token,
                updates=updates,
                client_token=client_token,
            )
        except LocalServiceError as refusal:
            raise _translated(refusal, CheckpointError) from refusal

    async def get_state(
        self, *, durable_execution_arn: str, checkpoint_token: str, marker: str, max_items: int
    ) -> StatePage:
        """Return one page of the execution's state; see ``ServiceClient``.

        Raises:
            InvalidTokenError: the token is spent, or the execution has ended.
            GetStateError: the request is invalid, or (``is_retryable``) the service failed.
        """
        try:
            return await self._service.get_state(
                durable_execution_arn=durable_execution_arn,
                checkpoint_token=checkpoint_token,
                marker=marker,
                max_items=max_items,
            )
        except LocalServiceError as refusal:
            raise _translated(refusal, GetStateError) from refusal


def _translated(refusal: LocalServiceError, error: type[ServiceError]) -> ServiceError:
    """Say what an SDK makes of a refusal: the table of AWS's SDKs, on code and message prefix."""
    message = str(refusal)
    if refusal.http_status == 400 and message.lower().startswith("invalid checkpoint token"):
        return InvalidTokenError(message, code=refusal.code)
    return error(message, is_retryable=refusal.http_status >= 500, code=refusal.code)
