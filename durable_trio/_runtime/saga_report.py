"""What a saga undid: a value for the user."""

from __future__ import annotations

from durable_trio._protocol.value_class import frozen_dataclass as dataclass


@dataclass(frozen=True, slots=True)
class Compensation:
    """How one compensation went.

    Attributes:
        step: the number of the operation that was undone, from 1, in the order of registration.
        name: the operation's name, or None.
        operation_id: the id of the compensation itself.
        error: what it failed with; None if it succeeded.
    """

    step: int
    name: str | None
    operation_id: str
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class CompensationReport:
    """What was undone, in the order in which that was done: last registered, first undone."""

    compensations: tuple[Compensation, ...] = ()

    @property
    def succeeded(self) -> tuple[Compensation, ...]:
        """The compensations that succeeded."""
        return tuple(one for one in self.compensations if one.error is None)

    @property
    def failed(self) -> tuple[Compensation, ...]:
        """The compensations that failed."""
        return tuple(one for one in self.compensations if one.error is not None)
