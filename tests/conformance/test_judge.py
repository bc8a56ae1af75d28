"""The judge of the conformance requirements notices what it is there to notice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conformance.judge import Names, compare, judge_history, judge_log, judge_result

STEP = {"EventType": "StepStarted", "EventId": 2, "Id": "${ID1}", "StepStartedDetails": {}}


def event(number: int, type_: str, id_: str) -> dict[str, Any]:
    """Return an event as it is on the wire."""
    return {"EventType": type_, "EventId": number, "Id": id_, f"{type_}Details": {"more": 1}}


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("*", None),
        ({}, "anything"),
        ("${/^[0-5]$/}", 4),
        ("hello ${NAME}", "hello ada"),
        ("${NAME}", "ada"),
        ({"a": {"b": "*"}}, {"a": {"b": None}, "c": 1}),
        ([1, "*"], [1, 2]),
        (None, None),
    ],
)
def test_what_meets_a_demand(expected: object, actual: object) -> None:
    """Free values, expressions, variables, listed members only."""
    assert compare(expected, actual, Names({"NAME": "ada"}), "value") == []


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("${/^[0-5]$/}", 10),
        ("hello ${NAME}", "hello bob"),
        ("${NAME}", "bob"),
        ({"a": "*"}, {}),
        ({"a": "*"}, None),
        ([1], [1, 2]),
        (1, "1"),
        ("x", None),
        (None, 0),
    ],
)
def test_what_does_not_meet_a_demand(expected: object, actual: object) -> None:
    """A listed member has to be there even if its value is free; text is no number."""
    assert len(compare(expected, actual, Names({"NAME": "ada"}), "value")) == 1


def test_a_name_keeps_its_value() -> None:
    """The first value of a name is taken, any other one later is refused."""
    names = Names()

    assert compare("${ID1}", "first", names, "Id") == []
    assert compare("${ID1}", "first", names, "Id") == []
    assert compare("${ID1}", "other", names, "Id") == ["Id (${ID1}): expected 'first', got 'other'"]


def test_generated_variables_have_the_length_asked_for() -> None:
    """``GEN_STR`` makes text up: different for different names, and fit for a callback's name."""
    names = Names({"A": "${GEN_STR:8}", "B": "${GEN_STR:8}"})
    first, second = names.fill_in(["${A}", "${B}"])

    assert len(first) == len(second) == 8
    assert first != second


def test_an_event_too_many_is_noticed() -> None:
    """Events are looked up by number: one that was slipped in moves the others away."""
    happened = [event(2, "WaitStarted", "w"), event(3, "StepStarted", "s")]

    assert judge_history([STEP], happened[1:], Names()) == ["event 2: missing"]
    assert judge_history([STEP], happened, Names()) != []
    assert judge_history([STEP], [event(2, "StepStarted", "s"), happened[1]], Names()) == []


def test_a_result_counts_only_if_the_execution_succeeded() -> None:
    """The status always counts; null is a result like any other."""
    succeeded = {"ExecutionStatus": "SUCCEEDED", "Result": None}

    assert judge_result(succeeded, "SUCCEEDED", "null", Names()) == []
    assert judge_result(succeeded, "SUCCEEDED", "0", Names()) == ["result: expected None, got 0"]
    assert judge_result(succeeded, "FAILED", None, Names()) == ["status: expected 'SUCCEEDED', got 'FAILED'"]
    assert judge_result({"ExecutionStatus": "FAILED"}, "FAILED", None, Names()) == []


def test_log_lines_are_counted() -> None:
    """Only JSON lines of this execution count; expressions stand between slashes."""
    mine = json.dumps({"executionArn": "arn", "message": "hello ada", "level": "info"})
    others = json.dumps({"executionArn": "other", "message": "hello ada"})
    output = "\n".join(["hello ada", mine, others, mine])

    def complaints(**demand: Any) -> int:
        return len(judge_log([demand], output, "arn", Names({"NAME": "ada"})))

    assert complaints(match={"message": "/${NAME}/"}, count=2) == 0
    assert complaints(match={"message": "/${NAME}/"}, count=1) == 1
    assert complaints(match={"message": "/${NAME}/", "level": "info"}) == 0
    assert complaints(match={"message": "ada"}) == 1
    assert complaints(match={"message": "ada"}, count=0) == 0
    assert complaints(match={"message": "/ada/"}, max_count=1) == 1
    assert complaints(match={"message": "/ada/"}, min_count=3) == 1


def test_log_lines_have_an_order() -> None:
    """``after`` and ``before`` compare with other lines, which have to be there; truth values are no text."""
    lines = [
        {"durableExecutionArn": "arn", "hook": "start", "first": True},
        {"executionArn": "arn", "hook": "step"},
        {"durableExecutionArn": "arn", "hook": "end", "n": 1},
    ]
    output = "\n".join(map(json.dumps, lines))

    def complaints(**demand: Any) -> int:
        return len(judge_log([demand], output, "arn", Names()))

    start, step, end = {"hook": "start"}, {"hook": "step"}, {"hook": "end"}
    assert complaints(match=step, after=[start], before=[end], count=1) == 0
    assert complaints(match=step, after=[end]) == 1
    assert complaints(match=step, before=[start]) == 1
    assert complaints(match=step, after=[{"hook": "nobody"}]) == 1
    assert complaints(match={"first": True}) == 0
    assert complaints(match={"first": "True"}) == 0
    assert complaints(match={"first": 1}) == 1
    assert complaints(match={"n": True}) == 1
