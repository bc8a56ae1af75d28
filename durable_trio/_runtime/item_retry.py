"""``item_retry``: the branches of a batch restart by themselves, while the others go on.

A branch that has a retry strategy runs its function in attempts (``retry_block``), each a child context inside the
branch's own, or among the batch's operations if the branch is flat. The branch keeps its place under
``max_concurrency`` meanwhile, and counts toward completion only when it has ended for good.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from durable_trio._runtime import arguments
from durable_trio._runtime.restart_ledger import RestartLedger
from durable_trio._runtime.retry_block import RetriedBlock, run_attempts
from durable_trio.exceptions import ValidationError
from durable_trio.restarts import RestartIntensity

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio._runtime.batch_items import ItemSerdes
    from durable_trio._runtime.context_base import ContextBase
    from durable_trio.retries import RetryStrategy


class Restarts:
    """How the branches of one batch restart."""

    __slots__ = ("_intensity", "_strategy")

    def __init__(self, strategy: RetryStrategy, intensity: RestartIntensity | None) -> None:
        self._strategy = strategy
        self._intensity = intensity

    @classmethod
    def checked(cls, strategy: RetryStrategy | None, intensity: object) -> Restarts | None:
        """Return what was asked for; None if branches do not restart.

        Raises:
            ValidationError: *intensity* is none, or nothing would restart.
        """
        if intensity is not None and not isinstance(intensity, RestartIntensity):
            raise ValidationError(f"restart_intensity must be a RestartIntensity, not {intensity!r}")
        if strategy is None:
            if intensity is not None:
                raise ValidationError(
                    "restart_intensity limits what item_retry restarts: give item_retry, too"
                )
            return None
        return cls(arguments.strategy(strategy), intensity)

    def around(
        self, body: Callable[..., Any], serdes: ItemSerdes
    ) -> Callable[[ContextBase, int], Awaitable[Any]]:
        """Return what runs for each branch: *body*, which takes a context and an index, in attempts."""
        ledger = None if self._intensity is None else RestartLedger(self._intensity)

        async def attempts(child: ContextBase, index: int) -> Any:
            node = child._node
            grants = None if ledger is None else partial(ledger.grant, node, index)
            block = RetriedBlock(body, (index,), self._strategy, serdes.of(index), grants=grants)
            return await run_attempts(node, block)

        return attempts
