"""A checkpoint, seen from the service: token, updates, answer.

A token is good for one checkpoint, and the answer brings the next one. So at any time one invocation at most
can move the execution, and one that was given up (a crash, a take-over) is fenced off by its stale token. An
answer may be lost on its way; the client then asks again with the same token *and* the same client token, which
cannot be mistaken for a second checkpoint: it gets the answer again and nothing is applied twice. Answers are
remembered for 15 minutes, and the latest ``MAX_REMEMBERED_ANSWERS`` of them; a client has one call in flight, so
what it repeats is the latest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from durable_trio._protocol import limits, value_class
from durable_trio._protocol.checkpoint_rules import plan_updates
from durable_trio._protocol.execution_record import (
    ExecutionRecord,
    RememberedAnswer,
)
from durable_trio._protocol.execution_status import (
    ExecutionStatus,
)
from durable_trio._protocol.function_moves import ChainTarget, apply_move
from durable_trio._protocol.opaque import checkpoint_token, token_sequence
from durable_trio._protocol.pausing import enter_pause
from durable_trio._protocol.quotas import DEFAULT_QUOTAS, Quotas
from durable_trio._protocol.refusals import RefusalReason, RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durable_trio._protocol.operation import (
        OperationRecord,
        OperationUpdate,
    )


MAX_REMEMBERED_ANSWERS: Final = 256

# Looking a member up in its class takes ten times as long before Python 3.12.
_RUNNING, _PAUSING = ExecutionStatus.RUNNING, ExecutionStatus.PAUSING


@value_class.dataclass(frozen=True, slots=True)
class CheckpointAnswer:
    """What a checkpoint is answered with.

    No *token*: the execution is over or paused. *operations* are in order of change.
    """

    token: str | None
    operations: tuple[OperationRecord, ...]
    shown_before: int
    """The number of the change up to which the function had been shown everything before."""
    is_repeated: bool = False


def check_token(record: ExecutionRecord, token: str) -> int:
    """Return the number of *token* if it is the current one of the active invocation.

    Raises:
        RefusedError: it is not.
    """
    return _checked(record, token_sequence(token, record.id))


def _checked(record: ExecutionRecord, sequence: int | None) -> int:
    if sequence is None:
        raise RefusedError(
            "Invalid checkpoint token: it is not one of this execution", RefusalReason.INVALID_TOKEN
        )
    if record.status is not _RUNNING and record.status is not _PAUSING:
        raise RefusedError(
            f"Invalid checkpoint token: the execution is {record.status}", RefusalReason.INVALID_TOKEN
        )
    if record.active is None or sequence != record.token_sequence:
        raise RefusedError("Invalid checkpoint token: it has been used", RefusalReason.INVALID_TOKEN)
    return sequence


def apply_checkpoint(
    record: ExecutionRecord,
    token: str,
    client_token: str,
    updates: Sequence[OperationUpdate],
    now: int,
    chain: ChainTarget,
    quotas: Quotas = DEFAULT_QUOTAS,
) -> CheckpointAnswer:
    """Record *updates* and answer with every change the invocation has not been shown.

    An execution that is to be paused is, from then on.

    Raises:
        RefusedError: the token is not the current one, or an update breaks a rule; *record* is unchanged.
    """
    if limits.CLIENT_TOKEN.fullmatch(client_token) is None:
        raise RefusedError(f"ClientToken must be 1 to 64 printable ASCII characters, not {client_token!r}")
    sequence = token_sequence(token, record.id)
    repeated = _remembered(record, sequence, client_token, now)
    if repeated is not None:
        return repeated
    sequence = _checked(record, sequence)
    moves = plan_updates(record, updates, quotas)

    shown_before = record.shown_change
    for move in moves:
        apply_move(record, move, now, chain)
    if not record.status.is_closed:
        record.token_sequence += 1
    if updates and record.active is not None and not record.active.has_progress:
        record.active = value_class.replace(record.active, has_progress=True)
    if record.status is _PAUSING and record.active is not None:
        record.active = value_class.replace(record.active, is_withheld=True)
        enter_pause(record, now)
    operations = tuple(entry.operation for entry in record.unseen())
    record.mark_shown()
    is_last = record.status is not _RUNNING
    answer = RememberedAnswer(sequence, client_token, now, shown_before, is_last)
    _forget_old(record, now)
    record.remember(answer)
    return CheckpointAnswer(_next_token(record, answer), operations, shown_before)


def _next_token(record: ExecutionRecord, answer: RememberedAnswer) -> str | None:
    return None if answer.is_last else checkpoint_token(record.id, answer.token_sequence + 1)


def _remembered(
    record: ExecutionRecord, sequence: int | None, client_token: str, now: int
) -> CheckpointAnswer | None:
    answer = None if sequence is None else record.answers.get(sequence)
    if answer is None or answer.client_token != client_token or _is_old(answer, now):
        return None
    # What changed later is in it too: the client merges it, and is shown it again.
    operations = tuple(entry.operation for entry in record.changed_after(answer.shown_before))
    return CheckpointAnswer(_next_token(record, answer), operations, answer.shown_before, is_repeated=True)


def _is_old(answer: RememberedAnswer, now: int) -> bool:
    return now - answer.answered_at > limits.CLIENT_TOKEN_WINDOW_SECONDS * 1000


def _forget_old(record: ExecutionRecord, now: int) -> None:
    # They are in order of age: the first one to stay ends the search. Normally that is the first of all.
    forgotten: list[int] = []
    for sequence, answer in record.answers.items():
        if len(record.answers) - len(forgotten) < MAX_REMEMBERED_ANSWERS and not _is_old(answer, now):
            break
        forgotten.append(sequence)
    for sequence in forgotten:
        del record.answers[sequence]
