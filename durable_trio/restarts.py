"""``RestartIntensity``: how many restarts the branches of a batch may have together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable_trio._protocol.value_class import frozen_dataclass as dataclass
from durable_trio.config import check_whole_number, exact_seconds
from durable_trio.exceptions import ValidationError

if TYPE_CHECKING:
    from durable_trio.config import AnyDuration

__all__ = ["RestartIntensity"]


@dataclass(frozen=True, slots=True)
class RestartIntensity:
    """A budget of restarts that the branches of a map or a parallel share.

    A branch that ``item_retry`` would restart stays failed if that would be one restart too many. One failing
    dependency then costs *max_restarts* attempts in all, not that many for each branch.

    Attributes:
        max_restarts: how many restarts there may be, at least 1.
        within: in how long a time, by the service's clock, at least one second; None for the life of the batch.

    Raises:
        ValidationError: a value is out of range.
        TypeError: *within* is no duration.
    """

    max_restarts: int
    within: AnyDuration | None = None

    def __post_init__(self) -> None:
        if self.max_restarts is None:
            raise ValidationError("max_restarts must be a whole number, not None")
        check_whole_number("max_restarts", self.max_restarts, at_least=1)
        if self.within is not None and exact_seconds("within", self.within) < 1:
            raise ValidationError(f"within must be at least 1 second, not {self.within!r}")

    def since(self, now: int) -> float:
        """Return from when on restarts count at *now*; both in epoch milliseconds."""
        return float("-inf") if self.within is None else now - _milliseconds(self.within)


def _milliseconds(duration: AnyDuration) -> float:
    return exact_seconds("within", duration) * 1000
