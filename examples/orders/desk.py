"""The steps of the fulfilment desk: plain and async methods, none of which knows that it is durable.

A step may run again when the process dies before its result was recorded, so the ones that write files
write the whole file, under the same name, in one move.
"""

import csv
import io
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import trio

from durable_trio import current_step
from orders.gateway import PaymentGateway
from orders.shapes import Bill, Checked, Line, Parcel, Receipt, Shipment

WAREHOUSES = ("GDANSK", "LYON", "PORTO")
BOXES = ((500, "S"), (2_000, "M"), (10_000, "L"))  # up to so many grams
DISCOUNTS = ((200_000, 12), (100_000, 8), (50_000, 5))  # from so many cents, so many percent


class Desk:
    """Everything that is done to a batch, with its papers in *folder*."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gateway = PaymentGateway(folder / "ledger.jsonl")

    def check(self, lines: Sequence[Line]) -> Checked:
        """Sort the lines that can be fulfilled from those that cannot."""
        problems = {line["line"]: problem for line in lines if (problem := _problem_of(line))}
        return {
            "accepted": [line["line"] for line in lines if line["line"] not in problems],
            "rejected": [f"line {number}: {reason}" for number, reason in problems.items()],
        }

    def price(self, batch: str, lines: Sequence[Line]) -> list[Bill]:
        """Add up what every customer owes, less a discount for those who buy much."""
        gross: dict[str, int] = defaultdict(int)
        for line in lines:
            gross[line["customer"]] += line["quantity"] * line["unit_price_cents"]
        return [
            {
                "payment": f"{batch}-{number}",
                "customer": customer,
                "discount_percent": (percent := _discount_percent(cents)),
                "total_cents": cents * (100 - percent) // 100,
            }
            for number, (customer, cents) in enumerate(sorted(gross.items()), start=1)
        ]

    def ask_for_approval(self, callback_id: str, bills: Sequence[Bill]) -> None:
        """Put the question where a human finds it."""
        total = sum(bill["total_cents"] for bill in bills)
        self._write(
            "approval.txt",
            f"May we charge {len(bills)} customers {total / 100:,.2f} EUR? Answer with:\n"
            f'durable-trio callback succeed {callback_id} --result \'{{"approved": true, "by": "you"}}\'\n',
        )

    def charge(self, bill: Bill) -> Receipt:
        """Take a customer's money."""
        step = current_step()
        return self.gateway.charge(
            bill["payment"], bill["total_cents"], attempt=step.attempt, idempotency_key=step.idempotency_key
        )

    async def pack(self, line: Line) -> Parcel:
        """Have the robot pack a line; it takes a moment, and many lines are packed at once."""
        await trio.sleep(random.uniform(0.1, 0.4))
        grams = line["quantity"] * line["unit_grams"]
        box = next((name for limit, name in BOXES if grams <= limit), "PALLET")
        return {"line": line["line"], "warehouse": line["warehouse"], "box": box, "grams": grams}

    def write_manifest(self, warehouse: str, parcels: Sequence[Parcel]) -> Shipment:
        """Write the list that the driver gets."""
        name = f"manifest-{warehouse.lower()}.csv"
        rows = [(parcel["line"], parcel["box"], parcel["grams"]) for parcel in parcels]
        self._write(name, _csv(("line", "box", "grams"), rows))
        return {
            "warehouse": warehouse,
            "parcels": len(parcels),
            "grams": sum(parcel["grams"] for parcel in parcels),
            "manifest": name,
        }

    def write_invoices(self, bills: Sequence[Bill], lines: Sequence[Line]) -> int:
        """Write an invoice per customer, and tell how many."""
        for bill in bills:
            rows = [
                (line["sku"], line["description"], line["quantity"], line["unit_price_cents"])
                for line in lines
                if line["customer"] == bill["customer"]
            ]
            total = ("", f"less {bill['discount_percent']} %, to pay", "", bill["total_cents"])
            header = ("sku", "description", "quantity", "cents")
            self._write(f"invoice-{bill['payment']}.csv", _csv(header, [*rows, total]))
        return len(bills)

    def _write(self, name: str, text: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / f".{name}.draft"
        draft.write_text(text, encoding="utf-8")
        draft.replace(self.folder / name)


def _problem_of(line: Line) -> str | None:
    if not line["sku"]:
        return "no sku"
    if line["quantity"] < 1:
        return f"quantity {line['quantity']}"
    if line["unit_price_cents"] < 0:
        return f"price {line['unit_price_cents']}"
    if line["warehouse"] not in WAREHOUSES:
        return f"no warehouse {line['warehouse']}"
    return None


def _discount_percent(cents: int) -> int:
    return next((percent for threshold, percent in DISCOUNTS if cents >= threshold), 0)


def _csv(header: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
