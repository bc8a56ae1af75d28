"""A payment provider on one's own disk, as unreliable as the real ones.

Every request it gets is one line in ``ledger.jsonl``, written to the disk before it answers: what was asked
twice shows up twice. It knows the requests it has served by their idempotency key, and never takes the money
a second time for the same key.
"""

import json
import os
import random
import time
from pathlib import Path

from orders.shapes import Receipt


class GatewayUnavailable(Exception):  # noqa: N818  # reads well in a log: "GatewayUnavailable: ..."
    """The provider did not answer; whether to ask again is the caller's choice."""


class PaymentGateway:
    """Charge customers; about every third request goes unanswered.

    Which ones is decided by the payment and the attempt alone, so that every run has the same bad luck.
    """

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger

    def charge(self, payment: str, cents: int, *, attempt: int, idempotency_key: str) -> Receipt:
        """Take *cents* once for *idempotency_key*, however often it is asked.

        Raises:
            GatewayUnavailable: there was no answer.
        """
        if random.Random(f"{payment}, attempt {attempt}").random() < 0.35:
            outcome = "unavailable"
        elif self._has_charged(idempotency_key):
            outcome = "already charged"
        else:
            outcome = "charged"
        self._append(
            {
                "payment": payment,
                "attempt": attempt,
                "cents": cents,
                "outcome": outcome,
                "idempotency_key": idempotency_key,
            }
        )
        time.sleep(0.15)
        if outcome == "unavailable":
            raise GatewayUnavailable(f"no answer to payment {payment}, attempt {attempt}")
        return {"payment": payment, "cents": cents}

    def _has_charged(self, idempotency_key: str) -> bool:
        if not self._ledger.exists():
            return False
        entries = map(json.loads, self._ledger.read_text(encoding="utf-8").splitlines())
        return any(
            entry["idempotency_key"] == idempotency_key and entry["outcome"] == "charged" for entry in entries
        )

    def _append(self, entry: dict[str, object]) -> None:
        self._ledger.parent.mkdir(parents=True, exist_ok=True)
        with self._ledger.open("a", encoding="utf-8") as ledger:
            ledger.write(json.dumps(entry) + "\n")
            ledger.flush()
            os.fsync(ledger.fileno())
