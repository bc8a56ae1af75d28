"""What a checkpoint may not ask for. Whatever is refused leaves the record as it was."""

import copy
from collections.abc import Sequence

import pytest
from protocol.service_side import (
    CALLBACK,
    CANCEL,
    CHAINED_INVOKE,
    CONTEXT,
    ERROR,
    EXECUTION,
    FAIL,
    RETRY,
    START,
    STEP,
    SUCCEED,
    WAIT,
    retry,
    started_service,
    update,
    wait,
)

from durable_trio._protocol import limits
from durable_trio._protocol.operation import (
    CallbackOptions,
    ChainedInvokeOptions,
    ErrorObject,
    OperationUpdate,
    StepOptions,
    WaitOptions,
)
from durable_trio._protocol.refusals import RefusedError


def _refused(
    updates: Sequence[OperationUpdate], message: str, before: Sequence[OperationUpdate] = ()
) -> None:
    service = started_service(*before)
    record = copy.deepcopy(service.record)

    with pytest.raises(RefusedError, match=message):
        service.checkpoint(*updates)

    assert service.record == record


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (update(STEP, START, ""), "Id must be 1 to 64"),
        (update(STEP, START, "a" * 65), "Id must be 1 to 64"),
        (update(STEP, START, "a b"), "Id must be 1 to 64"),
        (update(STEP, START, parent="ä"), "ParentId of operation 'op'"),
        (update(STEP, START, name=""), "Name of operation 'op' must be 1 to 256 printable ASCII"),
        (update(STEP, START, name="n" * 257), "Name of operation 'op'"),
        (update(STEP, START, name="a\nb"), "Name of operation 'op'"),
        (OperationUpdate("op", STEP, START, sub_type="s" * 33), "SubType of operation 'op'"),
        (update(STEP, START, payload="1"), "Payload of operation 'op' does not go with STEP START"),
        (update(STEP, FAIL, payload="1"), "Payload of operation 'op' does not go with STEP FAIL"),
        (update(STEP, SUCCEED, error=ERROR), "Error of operation 'op' does not go with STEP SUCCEED"),
        (
            update(STEP, SUCCEED, payload="é" * (limits.MAX_PAYLOAD_BYTES // 2 + 1)),
            "at most 6291456 bytes, not 6291458",
        ),
        (
            update(STEP, FAIL, error=ErrorObject(message="x" * 32_768)),
            "Error of operation 'op' must be at most 32768",
        ),
        (update(WAIT, START), "WAIT START of operation 'op' must have options"),
        (wait(0), "WaitSeconds of operation 'wait' must be 1 to 31622400, not 0"),
        (wait(31_622_401), "WaitSeconds of operation 'wait' must be 1 to 31622400"),
        (
            update(WAIT, START, options=StepOptions(1)),
            "StepOptions of operation 'op' does not go with type WAIT",
        ),
        (
            update(CALLBACK, START, options=CallbackOptions(-1)),
            "TimeoutSeconds of operation 'op' must be 0 to 99999999",
        ),
        (update(CALLBACK, START, options=CallbackOptions(0, 100_000_000)), "HeartbeatTimeoutSeconds"),
        (update(CHAINED_INVOKE, START), "CHAINED_INVOKE START of operation 'op' must have options"),
        (update(CHAINED_INVOKE, START, options=ChainedInvokeOptions("")), "length of FunctionName"),
        (
            update(CHAINED_INVOKE, START, options=ChainedInvokeOptions("f", "t" * 257)),
            "TenantId of operation",
        ),
        (update(EXECUTION, SUCCEED, options=WaitOptions(1)), "does not go with type EXECUTION"),
    ],
)
def test_members_out_of_range(bad: OperationUpdate, message: str) -> None:
    """A member that is too long, malformed, out of range or out of place is refused by name."""
    _refused([bad], message)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (update(STEP, RETRY, error=ERROR), "must have StepOptions.NextAttemptDelaySeconds"),
        (
            update(STEP, RETRY, error=ERROR, options=StepOptions()),
            "must have StepOptions.NextAttemptDelaySeconds",
        ),
        (retry(delay=0), "NextAttemptDelaySeconds of operation 'op' must be 1 to 31622400, not 0"),
        (update(STEP, RETRY, options=StepOptions(1)), "either an Error or a Payload"),
        (
            update(STEP, RETRY, error=ERROR, payload="1", options=StepOptions(1)),
            "either an Error or a Payload",
        ),
    ],
)
def test_retry_needs_a_delay_and_one_outcome(bad: OperationUpdate, message: str) -> None:
    """RETRY has a delay of at least a second, and an error or a payload, not both."""
    _refused([bad], message, before=[update(STEP, START)])


@pytest.mark.parametrize(
    ("before", "bad"),
    [
        ([], retry()),
        ([update(STEP, START)], update(STEP, START)),
        ([update(STEP, SUCCEED)], update(STEP, FAIL)),
        ([update(STEP, START), retry()], update(STEP, START)),
        ([update(CONTEXT, START)], update(CONTEXT, START)),
        ([update(CONTEXT, SUCCEED)], update(CONTEXT, FAIL)),
        ([], update(WAIT, CANCEL)),
        ([wait(id_="op")], update(WAIT, SUCCEED)),
        ([update(CALLBACK, START)], update(CALLBACK, SUCCEED)),
        ([], update(CALLBACK, CANCEL)),
        ([], update(EXECUTION, CANCEL)),
        ([], update(EXECUTION, START)),
    ],
)
def test_illegal_transitions(before: Sequence[OperationUpdate], bad: OperationUpdate) -> None:
    """Where the table has no entry, the update is refused."""
    _refused([bad], f"cannot {bad.action}", before=before)


@pytest.mark.parametrize(
    ("updates", "message"),
    [
        ([update(STEP, START), update(STEP, SUCCEED), update(STEP, FAIL)], "updated twice"),
        ([update(STEP, SUCCEED), update(STEP, FAIL)], "updated twice"),
        ([wait(id_="op"), update(WAIT, CANCEL)], "updated twice"),
        ([update(EXECUTION, SUCCEED), update(STEP, START)], "must be the last of its request"),
        (
            [update(EXECUTION, SUCCEED, "a"), update(EXECUTION, SUCCEED, "b")],
            "must be the last of its request",
        ),
        ([update(STEP, START, "x", parent="nobody")], "parent 'nobody' of operation 'x' does not exist"),
        (
            [update(STEP, START, "x", parent="c"), update(CONTEXT, START, "c")],
            "parent 'c' of operation 'x' does not",
        ),
        ([update(STEP, START, "s"), update(STEP, START, "x", parent="s")], "must be a CONTEXT, not a STEP"),
        ([update(STEP, START, "x", parent="exec-1")], "must be a CONTEXT, not a EXECUTION"),
    ],
)
def test_batches_that_do_not_fit_together(updates: Sequence[OperationUpdate], message: str) -> None:
    """One request holds each operation once (a step or context: START and one more), parents first."""
    _refused(updates, message)


def test_a_bad_update_spoils_the_whole_request() -> None:
    """Updates are recorded together or not at all."""
    _refused([update(STEP, START, "fine"), update(WAIT, CANCEL, "bad")], "cannot CANCEL")


@pytest.mark.parametrize(
    ("member", "bad"),
    [
        ("Type", update(CONTEXT, SUCCEED)),
        ("Name", update(STEP, SUCCEED, name="other")),
        ("ParentId", update(STEP, SUCCEED, parent="elsewhere")),
        ("SubType", OperationUpdate("op", STEP, SUCCEED, sub_type="Other")),
    ],
)
def test_identity_does_not_change(member: str, bad: OperationUpdate) -> None:
    """Type, sub-type, name and parent may be left out later, but not changed; also within one request."""
    contexts = [update(CONTEXT, START, "home"), update(CONTEXT, START, "elsewhere")]
    start = OperationUpdate("op", STEP, START, parent_id="home", name="name", sub_type="Step")

    _refused([bad], f"{member} of operation 'op' must not change", before=[*contexts, start])
    _refused([*contexts, start, bad], f"{member} of operation 'op' must not change")


def test_start_and_retry_share_a_request() -> None:
    """The START of an at-least-once step rides along with whatever comes of its attempt."""
    service = started_service(update(STEP, START), retry())

    assert service.status() == "PENDING"


def test_members_left_out_later_are_kept() -> None:
    """An update that closes an operation need not repeat what it is."""
    service = started_service(
        update(CONTEXT, START, "home"),
        OperationUpdate("op", STEP, START, parent_id="home", name="name", sub_type="Step"),
    )

    service.checkpoint(update(STEP, SUCCEED))

    operation = service.operation()
    assert (operation.parent_id, operation.name, operation.sub_type) == ("home", "name", "Step")


def test_client_token_is_checked() -> None:
    """A client token is 1 to 64 printable characters."""
    service = started_service()

    for bad in ("", "x" * 65, "a b", "é"):
        with pytest.raises(RefusedError, match="ClientToken must be"):
            service.checkpoint(client_token=bad)
