"""A user's script that knows nothing but boto3."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from support.endpoints import in_thread, served

if TYPE_CHECKING:
    from collections.abc import Callable

from support.http_workflows import register_all

STEPS = 2_500


def start(boto: Any, function: str, event: Any = None, **more: Any) -> str:
    """Start an execution without waiting for it; return its ARN."""
    answer = boto.invoke(
        FunctionName=function, InvocationType="Event", Payload=json.dumps(event or {}).encode(), **more
    )
    assert answer["StatusCode"] == 202
    return str(answer["DurableExecutionArn"])


def wait_for(boto: Any, arn: str, *statuses: str) -> dict[str, Any]:
    """Ask until the execution has one of *statuses*."""
    deadline = time.monotonic() + 30
    while True:
        found: dict[str, Any] = boto.get_durable_execution(DurableExecutionArn=arn)
        if found["Status"] in statuses:
            return found
        assert time.monotonic() < deadline, f"{arn} is {found['Status']}, not {statuses}"
        time.sleep(0.01)


def events(boto: Any, arn: str, **more: Any) -> list[dict[str, Any]]:
    """Return the whole history by boto3's paginator."""
    pages = boto.get_paginator("get_durable_execution_history").paginate(DurableExecutionArn=arn, **more)
    return [event for page in pages for event in page["Events"]]


def callback_id(boto: Any, arn: str) -> str:
    """Return the id of the execution's only callback, once it has one."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for event in events(boto, arn):
            if event["EventType"] == "CallbackStarted":
                return str(event["CallbackStartedDetails"]["CallbackId"])
        time.sleep(0.01)
    raise AssertionError("no callback was started")


def starts_by_name(boto: Any) -> None:
    """Twice the same is one execution; the same name with another payload is refused."""
    first = start(boto, "greet", {"name": "ada"}, DurableExecutionName="one")
    assert start(boto, "greet", {"name": "ada"}, DurableExecutionName="one") == first
    with pytest.raises(boto.exceptions.DurableExecutionAlreadyStartedException):
        start(boto, "greet", {"name": "bob"}, DurableExecutionName="one")
    assert start(boto, "nap", {"name": "bob"}, DurableExecutionName="one") != first
    assert wait_for(boto, first, "SUCCEEDED")["Result"] == '"Hello, ADA"'
    assert start(boto, "greet", {"name": "ada"}, DurableExecutionName="one") == first


def lists_with_filters(boto: Any) -> None:
    """By name, status, time and version; in both directions; page by page."""
    arns = [start(boto, "greet", {"name": str(n)}, DurableExecutionName=f"n{n}") for n in range(5)]
    failed = start(boto, "fail", DurableExecutionName="n0")
    for arn in arns:
        wait_for(boto, arn, "SUCCEEDED")
    wait_for(boto, failed, "FAILED")

    def found(function: str = "greet", **filters: Any) -> list[str]:
        pages = boto.get_paginator("list_durable_executions_by_function").paginate(
            FunctionName=function, PaginationConfig={"PageSize": 2}, **filters
        )
        return [each["DurableExecutionArn"] for page in pages for each in page["DurableExecutions"]]

    assert found() == arns[::-1]
    assert found(ReverseOrder=True) == arns
    assert found(DurableExecutionName="n3") == [arns[3]]
    assert found(Statuses=["FAILED", "TIMED_OUT"]) == []
    assert found("fail", Statuses=["FAILED", "TIMED_OUT"]) == [failed]
    assert found(Qualifier="$LATEST") == arns[::-1]
    assert found(Qualifier="7") == []
    started = boto.get_durable_execution(DurableExecutionArn=arns[2])["StartTimestamp"]
    assert arns[2] not in found(StartedAfter=started)
    assert arns[2] in found(StartedAfter=started - timedelta(milliseconds=1))
    assert arns[2] not in found(StartedBefore=started)
    assert found(StartedAfter=datetime.now(UTC) + timedelta(days=400)) == []


def pages_a_long_history(boto: Any) -> None:
    """5,000 events and more come page by page, in both directions, with data or without."""
    arn = start(boto, "count", {"steps": STEPS})
    assert wait_for(boto, arn, "SUCCEEDED")["Result"] == str(sum(range(STEPS)))

    forwards = events(boto, arn, PaginationConfig={"PageSize": 1000})
    assert len(forwards) >= 2 * STEPS
    assert [event["EventId"] for event in forwards] == list(range(1, len(forwards) + 1))
    assert events(boto, arn, ReverseOrder=True, PaginationConfig={"PageSize": 999}) == forwards[::-1]
    bare = events(boto, arn, IncludeExecutionData=False, PaginationConfig={"PageSize": 1000})
    assert [event["EventType"] for event in bare] == [event["EventType"] for event in forwards]
    done = next(event for event in bare if event["EventType"] == "StepSucceeded")
    assert done["StepSucceededDetails"]["Result"] == {"Truncated": True}
    assert len(boto.get_durable_execution_history(DurableExecutionArn=arn)["Events"]) == 100
    assert len(boto.get_durable_execution_history(DurableExecutionArn=arn, MaxItems=7)["Events"]) == 7


def answers_callbacks(boto: Any) -> None:
    """With a result, with a failure, after a heartbeat; and each once."""
    good, bad = start(boto, "approve"), start(boto, "approve")
    id_ = callback_id(boto, good)
    boto.send_durable_execution_callback_heartbeat(CallbackId=id_)
    boto.send_durable_execution_callback_success(CallbackId=id_, Result="très bien".encode())
    assert json.loads(wait_for(boto, good, "SUCCEEDED")["Result"]) == {"answer": "très bien"}
    for again in ("success", "failure", "heartbeat"):
        with pytest.raises(boto.exceptions.CallbackTimeoutException):
            getattr(boto, f"send_durable_execution_callback_{again}")(CallbackId=id_)

    boto.send_durable_execution_callback_failure(
        CallbackId=callback_id(boto, bad),
        Error={"ErrorType": "Refused", "ErrorMessage": "no", "ErrorData": "x", "StackTrace": ["a", "b"]},
    )
    assert wait_for(boto, bad, "FAILED")["Error"]["ErrorType"] == "Refused"


def pauses_and_resumes(boto: Any) -> None:
    """A paused execution is not invoked, though its callback is answered; resumed, it goes on."""
    arn = start(boto, "approve")
    id_ = callback_id(boto, arn)
    with pytest.raises(boto.exceptions.ResourceConflictException):
        boto.resume_durable_execution(DurableExecutionArn=arn)
    answer = boto.pause_durable_execution(DurableExecutionArn=arn, Reason="lunch")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    paused = wait_for(boto, arn, "PAUSED")
    assert paused["PauseDetails"]["Reason"] == "lunch"
    assert paused["PauseDetails"]["ExecutionTimeoutPaused"] is True
    assert isinstance(paused["PauseDetails"]["PauseRequestTimestamp"], datetime)
    with pytest.raises(boto.exceptions.ResourceConflictException):
        boto.pause_durable_execution(DurableExecutionArn=arn)
    boto.send_durable_execution_callback_success(CallbackId=id_, Result=b"1")
    assert boto.get_durable_execution(DurableExecutionArn=arn)["Status"] == "PAUSED"
    boto.resume_durable_execution(DurableExecutionArn=arn, Reason="back")
    wait_for(boto, arn, "SUCCEEDED")
    kinds = [event["EventType"] for event in events(boto, arn)]
    assert kinds.index("ExecutionPaused") < kinds.index("CallbackSucceeded") < kinds.index("ExecutionResumed")


def stops_and_deletes(boto: Any) -> None:
    """What goes on can be stopped, and not deleted; what has ended can be deleted, and is gone."""
    arn = start(boto, "approve")
    callback_id(boto, arn)
    with pytest.raises(boto.exceptions.ResourceConflictException):
        boto.delete_durable_execution(DurableExecutionArn=arn)
    error = {"ErrorType": "Enough", "ErrorMessage": "is enough"}
    at = boto.stop_durable_execution(DurableExecutionArn=arn, Error=error)["StopTimestamp"]
    stopped = wait_for(boto, arn, "STOPPED")
    assert stopped["Error"] == error
    assert stopped["EndTimestamp"] == at
    assert boto.stop_durable_execution(DurableExecutionArn=arn)["StopTimestamp"] == at
    deleted = boto.delete_durable_execution(DurableExecutionArn=arn)
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert isinstance(deleted["DeletionRequestTimestamp"], datetime)
    with pytest.raises(boto.exceptions.ResourceNotFoundException):
        boto.get_durable_execution(DurableExecutionArn=arn)


def describes(boto: Any) -> None:
    """Everything of GetDurableExecution, with data or without."""
    arn = start(boto, "greet", {"name": "ada"})
    found = wait_for(boto, arn, "SUCCEEDED")
    assert found["DurableExecutionArn"] == arn
    assert found["Version"] == "$LATEST"
    assert found["InputPayload"] == '{"name": "ada"}'
    assert found["ExecutionDataIncluded"] is True
    assert found["StartTimestamp"] <= found["EndTimestamp"]
    assert found["DurableConfig"] == {"ExecutionTimeout": 31_622_400, "RetentionPeriodInDays": 14}
    bare = boto.get_durable_execution(DurableExecutionArn=arn, IncludeExecutionData=False)
    assert bare["ExecutionDataIncluded"] is False
    assert not {"InputPayload", "Result", "Error"} & set(bare)


@pytest.mark.parametrize(
    "chapter",
    [
        starts_by_name,
        lists_with_filters,
        pages_a_long_history,
        answers_callbacks,
        pauses_and_resumes,
        stops_and_deletes,
        describes,
    ],
    ids=lambda chapter: chapter.__name__,
)
async def test_a_script_with_nothing_but_boto3(chapter: Callable[[Any], None]) -> None:
    """Every call of the API does what boto3's documentation says."""
    # Time is real here: on virtual time an approval would time out between two questions of the script.
    async with served(virtual_time=False) as endpoint:
        register_all(endpoint.service)
        await in_thread(lambda: chapter(endpoint.boto))
