"""Histories as files, and what is taken out of them."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
import trio
from support.runs import driven, run
from testing.histories_support import recorded
from trio.testing import MockClock

from durable_trio import DurableContext, Duration, StepError, ValidationError, durable_execution, no_retry
from durable_trio._protocol.operation import OperationRecord
from durable_trio.testing.histories import History, HistoryFormatError
from durable_trio.testing.histories_recording import history_of, record, record_execution
from durable_trio.testing.redaction import PayloadPlace, mask_members, redact_history
from durable_trio.testing.replaying import replay_history
from durable_trio.testing.runner import DurableRunner


async def look_up(customer: str) -> dict[str, Any]:
    """Answer with something private."""
    return {
        "name": customer,
        "card": "4111 1111",
        "since": dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
        "limit": 10,
    }


async def refuse(reason: str) -> None:
    """Fail."""
    raise ValueError(reason)


@durable_execution
async def account(event: Any, ctx: DurableContext) -> Any:
    """Uses a bit of everything that has data."""

    async def big(child: DurableContext) -> str:
        return "x" * (await child.step(lambda: 300_000, name="size"))

    async def item(child: DurableContext, value: int, index: int) -> int:
        await child.wait(Duration.seconds(value))
        return value

    customer = await ctx.step(look_up, event["customer"])
    try:
        await ctx.step(refuse, "no credit for Ada", retry=no_retry())
    except StepError:
        await ctx.wait(Duration.minutes(1), name="think")
    await ctx.map([1, 2], item, name="items")
    await ctx.run_in_child_context(big)
    return {"customer": customer["name"], "size": len(await ctx.run_in_child_context(big, name="again"))}


def without_timing(records: list[OperationRecord]) -> list[Any]:
    """Return what a history tells of operations: all but timers that are over."""
    return sorted(
        (o.id, o.type, o.status, o.name, o.parent_id, o.sub_type, o.started_at, o.ended_at, repr(o.details))
        for o in records
        if o.type != "EXECUTION"
    )


async def test_the_operations_come_back_from_the_events(autojump_clock: MockClock) -> None:
    """Playing the events gives the records that the service had."""
    ran = await run(account, {"customer": "Ada"})
    history = history_of(ran.events, ran.operations, ran.description.arn)

    assert without_timing(list(history.operations().values())) == without_timing(ran.operations)
    assert history.status == "SUCCEEDED"
    assert history.name == "run"
    assert history.result == ran.description.result
    assert repr(history) == f"<History of 'run', SUCCEEDED, {len(ran.events)} events>"


async def test_a_file_has_it_all(autojump_clock: MockClock, tmp_path: Path) -> None:
    """What is read is what was written; the file is JSON with ISO instants."""
    history = await recorded(account, {"customer": "Ada"})
    history.save(tmp_path / "account.json")

    assert History.load(tmp_path / "account.json") == history
    document = json.loads((tmp_path / "account.json").read_text())
    assert document["Format"] == "durable_trio.history"
    assert document["Version"] == 1
    assert len(document["ReplayChildren"]) == 2
    assert document["Events"][0]["EventTimestamp"].endswith("Z")
    await replay_history(account, tmp_path / "account.json")


async def test_an_answer_of_the_service_is_a_history(autojump_clock: MockClock) -> None:
    """Epoch seconds, ISO text or datetimes; how contexts were closed is inferred; events may come newest first."""
    history = await recorded(account, {"customer": "Ada"})
    own = history.to_document()
    as_datetimes = json.loads(json.dumps(own))
    for event in as_datetimes["Events"]:
        event["EventTimestamp"] = dt.datetime.fromisoformat(event["EventTimestamp"])

    for answer in (
        {"Events": own["Events"]},
        {"Events": as_datetimes["Events"], "ResponseMetadata": {}},
        list(reversed(own["Events"])),
        {"Events": [*own["Events"], {"EventType": "ExecutionDreamed", "EventId": 999}]},
    ):
        read = History.from_document(answer, execution_arn=history.execution_arn)
        assert read == history

    unknown = History.from_document(own["Events"])
    assert unknown.execution_id == history.execution_id
    assert ":function:unknown:" in unknown.execution_arn


async def test_runs_and_executions_can_be_recorded(autojump_clock: MockClock, tmp_path: Path) -> None:
    """From a runner's result, and from a local service by name, finished or not."""
    async with DurableRunner(account) as runner:
        result = await runner.run({"customer": "Ada"})
        history = record(result, tmp_path / "run.json", redact=mask_members("card"))
        assert history.is_redacted
        assert "4111" not in (tmp_path / "run.json").read_text()
        assert (await record_execution(runner.service, result.arn)) == record(result) == result.record()

    async with driven(account) as driver:
        await driver.service.start_execution("function-under-test", '{"customer": "Bob"}', name="bob")
        await trio.sleep(10)
        assert (await record_execution(driver.service, "bob")).status == "RUNNING"


async def test_long_histories_are_read_to_their_end(autojump_clock: MockClock) -> None:
    """A history of several pages comes whole."""

    @durable_execution
    async def many(event: Any, ctx: DurableContext) -> None:
        await ctx.map(list(range(600)), lambda child, item, index: child.step(look_up, "x"))

    async with driven(many) as driver:
        started = await driver.service.start_execution("function-under-test", "{}", name="many")
        await driver.service.wait_closed(started.arn)
        history = await record_execution(driver.service, "many")
    assert len(history.events) > 2_000
    assert [event.event_id for event in history.events] == list(range(1, len(history.events) + 1))


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (7, 'there is no list "Events"'),
        ({"Events": 7}, 'there is no list "Events"'),
        ({"Events": []}, "a history must begin with ExecutionStarted, not with nothing"),
        ({"Events": [7]}, "an event must be an object, not int"),
        ({"Events": [{"EventType": "StepDreamed", "EventId": 1}]}, "not a history event"),
        ({"Events": [], "NextMarker": "x"}, "one page of a history"),
        ({"Events": [], "Format": "durable_trio.history", "Version": 2}, "version must be 1, not 2"),
        (
            [{"EventType": "ExecutionStarted", "EventId": 1, "EventTimestamp": "yesterday"}],
            "event 1 has an impossible instant",
        ),
        (
            [
                {
                    "EventType": "ExecutionStarted",
                    "EventId": 1,
                    "EventTimestamp": 1.0,
                    "ExecutionStartedDetails": {"Input": {"Truncated": True}},
                }
            ],
            "the Input of event 1 (ExecutionStarted) was left out or cut: get the history with IncludeExecutionData",
        ),
    ],
)
def test_what_is_no_history_is_refused(document: Any, reason: str, tmp_path: Path) -> None:
    """With the reason, and with the file's name if it came from a file."""
    with pytest.raises(HistoryFormatError) as caught:
        History.from_document(document)
    assert reason in str(caught.value)

    (tmp_path / "x.json").write_text(json.dumps(document))
    with pytest.raises(HistoryFormatError, match=r"x\.json"):
        History.load(tmp_path / "x.json")


def test_a_file_that_is_not_json_is_refused(tmp_path: Path) -> None:
    """Text that is not JSON is no history either."""
    (tmp_path / "x.json").write_text("once upon a time")

    with pytest.raises(HistoryFormatError, match=r"x\.json is not JSON"):
        History.load(tmp_path / "x.json")


# --- redaction -------------------------------------------------------------------------------------------


async def test_every_text_goes_through_the_redactor(autojump_clock: MockClock) -> None:
    """Input, results and errors, each with its place; the redacted history still replays."""
    history = await recorded(account, {"customer": "Ada"})
    places: list[PayloadPlace] = []

    def redact(payload: str, place: PayloadPlace) -> str:
        places.append(place)
        return payload.replace("Ada", "***")

    redacted = redact_history(history, redact)

    assert redacted.is_redacted
    assert "Ada" in json.dumps(history.to_document())
    assert "Ada" not in json.dumps(redacted.to_document())
    assert {place.kind for place in places} >= {"input", "result", "error message"}
    assert {place.operation_name for place in places} >= {"look_up", "refuse", "items"}
    await replay_history(account, redacted)


async def test_members_can_be_masked(autojump_clock: MockClock) -> None:
    """By name, at any depth; what is masked keeps its kind, and the rest is untouched."""
    redact = mask_members("card", "since", "limit")
    place = PayloadPlace("result", "StepSucceeded", "1", "look_up", "Step")

    assert json.loads(
        redact('{"a":[{"card":"4111","limit":10.5,"ok":true}],"card":{"n":["1",null]}}', place)
    ) == {
        "a": [{"card": "***", "limit": 0, "ok": True}],
        "card": {"n": ["***", None]},
    }
    assert redact('{"since":{"$datetime":"2020-01-01T00:00:00+00:00"}}', place) == '{"since":"***"}'
    assert redact('\t \t{"card":"é"}', place) == '\t \t{"card":"***"}'
    assert redact('{"name": "é"}', place) == '{"name": "é"}'
    assert redact("not JSON", place) == "not JSON"
    history = redact_history(await recorded(account, {"customer": "Ada"}), redact)
    assert "4111" not in json.dumps(history.to_document())
    await replay_history(account, history)


async def test_redactors_that_give_no_text_are_refused(autojump_clock: MockClock) -> None:
    """And so is a mask without names."""
    history = await recorded(account, {"customer": "Ada"})

    def broken(payload: str, place: PayloadPlace) -> Any:
        return None

    with pytest.raises(ValidationError, match="a redactor must return text, not None, for the input"):
        redact_history(history, broken)
    with pytest.raises(ValidationError, match="needs the names"):
        mask_members()
