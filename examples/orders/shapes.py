"""What the values of the example look like. All of them are plain JSON."""

from typing import NotRequired, TypedDict


class Line(TypedDict):
    """One line of an order, as the shop sends it."""

    line: int
    customer: str
    sku: str
    description: str
    quantity: int
    unit_price_cents: int
    unit_grams: int
    warehouse: str


class Batch(TypedDict):
    """The input: many lines, and where to write the papers (default: ``examples/out``)."""

    batch: str
    lines: list[Line]
    out: NotRequired[str]


class Checked(TypedDict):
    """The numbers of the good lines, and what is wrong with the others."""

    accepted: list[int]
    rejected: list[str]


class Bill(TypedDict):
    """What one customer owes."""

    payment: str
    customer: str
    discount_percent: int
    total_cents: int


class Approval(TypedDict):
    """What a human answers."""

    approved: bool
    by: str


class Receipt(TypedDict):
    """The payment provider's word that a bill is paid."""

    payment: str
    cents: int


class Parcel(TypedDict):
    """One packed line."""

    line: int
    warehouse: str
    box: str
    grams: int


class Shipment(TypedDict):
    """What leaves one warehouse."""

    warehouse: str
    parcels: int
    grams: int
    manifest: str


class Summary(TypedDict):
    """The result of the whole batch."""

    batch: str
    status: str
    decided_by: str
    lines: int
    rejected: list[str]
    paid_cents: int
    shipments: list[Shipment]
    invoices: int
