"""The recording service of the benchmarks: what makes a run void."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.stub import ARN, Service, Void


def request(service: Service, *updates: dict[str, Any], token: str | None = None) -> dict[str, Any]:
    """Return a checkpoint request with the token that is valid."""
    return {"DurableExecutionArn": ARN, "CheckpointToken": token or service.token, "Updates": list(updates)}


def send(service: Service, *updates: dict[str, Any]) -> dict[str, Any]:
    """Make a checkpoint."""
    asked = request(service, *updates)
    service.receive(asked)
    return service.answer(asked)


def step(action: str, **members: Any) -> dict[str, Any]:
    """Return an update of a step."""
    return {"Id": "one", "Type": "STEP", "Action": action, **members}


def test_a_stale_token_voids_the_run() -> None:
    """A token is valid for one call."""
    service = Service()
    stale = request(service)
    send(service)
    with pytest.raises(Void, match="stale token"):
        service.receive(stale)


def test_overlapping_calls_void_the_run() -> None:
    """There is one call at a time."""
    service = Service()
    service.receive(request(service))
    with pytest.raises(Void, match="overlap"):
        service.receive(request(service))


@pytest.mark.parametrize(
    "actions", [["START", "START"], ["START", "SUCCEED", "SUCCEED"], ["SUCCEED", "START"]]
)
def test_an_operation_that_is_started_or_finished_twice_voids_the_run(actions: list[str]) -> None:
    """An operation is started once and finished once, in this order."""
    service = Service()
    *legal, last = actions
    for action in legal:
        send(service, step(action))
    with pytest.raises(Void, match=r"twice|after its end"):
        send(service, step(last))


def test_too_many_updates_void_the_run() -> None:
    """A request holds at most 250 updates."""
    service = Service()
    updates = [{"Id": str(n), "Type": "STEP", "Action": "START"} for n in range(251)]
    with pytest.raises(Void, match="251 updates"):
        service.receive(request(service, *updates))


def test_calls_updates_bytes_and_ends_are_counted() -> None:
    """What was sent is counted; bytes only when asked for, since that takes time."""
    service = Service(audit=True)
    send(service, step("START"), step("SUCCEED", Payload="1"))

    assert (service.calls, service.updates, service.finished) == (1, 2, {"STEP": 1})
    assert service.sent_bytes > 100


def test_the_next_invocation_sees_what_is_not_inside_a_finished_context() -> None:
    """Children of a finished context are left out, unless it asked for them; waits can be skipped; pages follow."""
    service = Service(keep=True)
    context = {"Id": "c", "Type": "CONTEXT", "SubType": "Map", "Name": "m"}
    send(service, {**context, "Action": "START"}, step("START", ParentId="c"), step("SUCCEED", ParentId="c"))
    send(service, {**context, "Action": "SUCCEED", "Payload": "[]"})
    send(service, {"Id": "w", "Type": "WAIT", "Action": "START", "WaitOptions": {"WaitSeconds": 60}})
    service.skip_waits()
    state = service.event(first_page=1)["InitialExecutionState"]

    assert [operation["Id"] for operation in state["Operations"][1:]] == ["c"]
    following = service.page(state["NextMarker"], 1000)
    assert [(o["Id"], o["Status"]) for o in following["Operations"]] == [("w", "SUCCEEDED")]
