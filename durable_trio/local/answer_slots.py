"""The answers to checkpoints, as rows: for a client that asks again because an answer was lost.

An execution has a fixed number of slots, and the slot of an answer is its token's number modulo that. So a new answer is
written over one that nobody may ask for any more, in place: a commit dirties one page of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable_trio._protocol.checkpointing import MAX_REMEMBERED_ANSWERS
from durable_trio._protocol.execution_record import RememberedAnswer
from durable_trio.local.schema import ANSWER_SLOTS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from durable_trio._protocol.execution_record import ExecutionRecord


def save_answers(
    connection: sqlite3.Connection, execution_id: str, answers: Sequence[RememberedAnswer]
) -> None:
    """Write an execution's latest answers."""
    connection.executemany(
        "INSERT INTO answer_slots VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
        "SET token_sequence = excluded.token_sequence, client_token = excluded.client_token, "
        "answered_at = excluded.answered_at, shown_before = excluded.shown_before, is_last = excluded.is_last",
        [
            (
                execution_id,
                answer.token_sequence % ANSWER_SLOTS,
                answer.token_sequence,
                answer.client_token,
                answer.answered_at,
                answer.shown_before,
                answer.is_last,
            )
            for answer in answers
        ],
    )


def load_answers(connection: sqlite3.Connection, record: ExecutionRecord) -> None:
    """Put an execution's remembered answers back into its record."""
    rows = connection.execute(
        "SELECT token_sequence, client_token, answered_at, shown_before, is_last FROM answer_slots "
        "WHERE execution_id = ? ORDER BY token_sequence",
        (record.id,),
    ).fetchall()
    for sequence, client_token, answered_at, shown_before, is_last in rows:
        # A slot whose number came up again for a token without an answer holds an old one.
        if sequence > rows[-1][0] - MAX_REMEMBERED_ANSWERS:
            record.answers[sequence] = RememberedAnswer(
                sequence, client_token, answered_at, shown_before, bool(is_last)
            )
