"""The example does what its first page says. Its long life under kills is in ``test_kill``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from cli.terminals import Terminal

EXAMPLES = Path(__file__).parents[2] / "examples"


def orders(out: Path, *, lines: slice = slice(None)) -> dict[str, Any]:
    """Return the example's input, with some of its lines and another place for its papers."""
    batch = json.loads((EXAMPLES / "data" / "orders.json").read_text(encoding="utf-8"))
    return {**batch, "lines": batch["lines"][lines], "out": str(out)}


def run(terminal: Terminal, batch: dict[str, Any], answer: str) -> dict[str, Any]:
    """Run the example to its end and return its result."""
    result = terminal(
        *("run", f"{EXAMPLES / 'order_fulfilment.py'}:handler", "--json", "--name", "demo"),
        *("--input-json", json.dumps(batch), "--answer", f"approval={answer}"),
    )
    assert result.exit_code == 0, result.stderr
    summary: dict[str, Any] = json.loads(json.loads(result.stdout)["Result"])
    return summary


def test_a_refused_batch_charges_nobody(terminal: Terminal, tmp_path: Path) -> None:
    """The whole input is checked; a human says no; nothing else happens."""
    summary = run(terminal, orders(tmp_path), '{"approved": false, "by": "ada"}')

    assert summary["status"] == "refused"
    assert summary["decided_by"] == "ada"
    assert summary["lines"] + len(summary["rejected"]) == 480
    assert summary["rejected"][0] == "line 13: quantity 0"
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == ["approval.txt"]


@pytest.mark.slow
def test_an_approved_batch_leaves_its_papers(terminal: Terminal, tmp_path: Path) -> None:
    """Every customer is charged once and gets an invoice, every warehouse a manifest of what it sends."""
    summary = run(terminal, orders(tmp_path, lines=slice(14)), '{"approved": true, "by": "ada"}')
    folder = tmp_path / "demo"

    ledger = [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]
    charged = [entry for entry in ledger if entry["outcome"] == "charged"]
    assert len({entry["payment"] for entry in charged}) == len(charged) == summary["invoices"]
    assert sum(entry["cents"] for entry in charged) == summary["paid_cents"]
    assert len(list(folder.glob("invoice-*.csv"))) == summary["invoices"]
    rows = {
        shipment["warehouse"]: (folder / shipment["manifest"]).read_text().splitlines()[1:]
        for shipment in summary["shipments"]
    }
    assert {name: len(of) for name, of in rows.items()} == {
        shipment["warehouse"]: shipment["parcels"] for shipment in summary["shipments"]
    }
    assert sum(map(len, rows.values())) == summary["lines"] == 13
