"""A page of operations that is decoded by whoever reads it.

An execution's state comes in pages of up to a thousand operations, and the marker of the next one stands beside
them. Who decodes a page only after asking for the next one does so while the service is busy with that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio._protocol.operation import OperationRecord


class UndecodedOperations(Sequence["OperationRecord"]):
    """The operations of a page, decoded once, when they are first looked at.

    Whatever *decode* raises then goes to who looks.
    """

    __slots__ = ("_decode", "_records", "_wires")

    def __init__(self, wires: Sequence[Any], decode: Callable[[Any], OperationRecord]) -> None:
        self._wires = wires
        self._decode = decode
        self._records: list[OperationRecord] | None = None

    def __repr__(self) -> str:
        return f"<UndecodedOperations {len(self._wires)}>"

    def __len__(self) -> int:
        return len(self._wires)

    @overload
    def __getitem__(self, index: int) -> OperationRecord: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[OperationRecord]: ...

    def __getitem__(self, index: int | slice) -> OperationRecord | Sequence[OperationRecord]:
        if self._records is None:
            self._records = [self._decode(wire) for wire in self._wires]
        return self._records[index]
