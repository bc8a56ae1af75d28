"""How a conformance requirement is judged: what it demands against what happened.

A demand is data with placeholders:

- ``*`` and ``{}`` take anything; ``${/regex/}`` takes a value in whose text the expression is found;
- ``${NAME}`` takes anything the first time, and the same value from then on: this is how ids are compared.
  Names that stand for variables of the requirement have a value from the beginning;
- ``${NAME}`` inside a longer text is replaced by the variable.

Of an object only the listed members count, but those must be there. Events are looked up by their number, so an event
too many or too few is noticed at every later one; events after the last that is demanded are not looked at.

Everything here is a function from data to a list of complaints; an empty one means that the requirement is met.
"""

from __future__ import annotations

import json
import random
import re
import string
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Complaints: TypeAlias = list[str]

_REGEX: Final = re.compile(r"\$\{/(.+)/\}", re.DOTALL)
_NAME: Final = re.compile(r"\$\{([A-Za-z_]\w*)\}")
_GENERATED: Final = re.compile(r"\$\{GEN_STR:(\d+)\}")
_LOG_MEMBERS: Final = frozenset({"match", "count", "min_count", "max_count", "after", "before"})


class Names:
    """The values that stand behind ``${NAME}``: a requirement's variables, and what was bound while judging."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._values: dict[str, Any] = {
            name: _generated(name, text) for name, text in (variables or {}).items()
        }

    def fill_in(self, data: Any) -> Any:
        """Return *data* with every known name replaced by its value."""
        match data:
            case str():
                return _NAME.sub(lambda found: str(self._values.get(found[1], found[0])), data)
            case list():
                return [self.fill_in(item) for item in data]
            case dict():
                return {key: self.fill_in(value) for key, value in data.items()}
            case _:
                return data

    def bind(self, name: str, value: Any) -> Any:
        """Return the value of *name*, which is *value* if it has had none."""
        return self._values.setdefault(name, value)


def _generated(name: str, text: str) -> str:
    """Return the text of a variable; ``${GEN_STR:n}`` asks for n random characters, here always the same."""
    found = _GENERATED.fullmatch(text)
    if found is None:
        return text
    letters = random.Random(name).choices(string.ascii_lowercase + string.digits, k=int(found[1]))
    return "".join(letters)


def compare(expected: Any, actual: Any, names: Names, where: str) -> Complaints:
    """Compare a value with the demand for it; *where* begins each complaint."""
    if expected in ("*", {}):
        return []
    if actual is None and expected is not None:
        return [f"{where}: missing"]
    if isinstance(expected, str):
        return _compare_text(expected, actual, names, where)
    if isinstance(expected, dict) and isinstance(actual, dict):
        return [
            complaint
            for member, value in expected.items()
            for complaint in (
                compare(value, actual[member], names, f"{where}.{member}")
                if member in actual
                else [f"{where}.{member}: missing"]
            )
        ]
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        return [
            complaint
            for index, pair in enumerate(zip(expected, actual, strict=True))
            for complaint in compare(*pair, names, f"{where}[{index}]")
        ]
    return _equal(expected, actual, where)


def _compare_text(expected: str, actual: Any, names: Names, where: str) -> Complaints:
    if regex := _REGEX.fullmatch(expected):
        found = re.search(regex[1], str(actual))
        return [] if found else [f"{where}: {actual!r} does not match /{regex[1]}/"]
    if name := _NAME.fullmatch(expected):
        return _equal(names.bind(name[1], actual), actual, f"{where} ({expected})")
    return _equal(names.fill_in(expected), actual, where)


def _equal(expected: Any, actual: Any, where: str) -> Complaints:
    return [] if expected == actual else [f"{where}: expected {expected!r}, got {actual!r}"]


def judge_history(
    expected: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, Any]], names: Names
) -> Complaints:
    """Compare events on the wire with those that are demanded; what is not demanded may be as it likes."""
    by_number = {event["EventId"]: event for event in events}
    return [
        complaint
        for demand in expected
        for complaint in compare(
            demand, by_number.get(demand["EventId"]), names, f"event {demand['EventId']}"
        )
    ]


def judge_result(expected: Mapping[str, Any], status: str, result: str | None, names: Names) -> Complaints:
    """Compare an execution's status, and its result as decoded once; a failed one has only a status."""
    wrong_status = _equal(expected["ExecutionStatus"], status, "status")
    if wrong_status or status != "SUCCEEDED" or "Result" not in expected:
        return wrong_status
    return _equal(names.fill_in(expected["Result"]), json.loads(result or "null"), "result")


def judge_log(expected: Sequence[Mapping[str, Any]], output: str, arn: str, names: Names) -> Complaints:
    """Count the lines of *output* that are JSON objects about the execution *arn*, demand by demand.

    A demand's members must all be in the line: equal, or matching if they are written ``/regex/``. ``after`` and
    ``before`` name other lines: all that are meant stand on that side of them.
    """
    objects = [_object(text) for text in output.splitlines()]
    lines = [line for line in objects if arn in (line.get("executionArn"), line.get("durableExecutionArn"))]
    complaints: Complaints = []
    for demand in names.fill_in(list(expected)):
        assert set(demand) <= _LOG_MEMBERS, f"this judge knows nothing of {set(demand) - _LOG_MEMBERS}"
        places = _places(demand["match"], lines)
        count = len(places)
        default = demand.get("count")
        least = demand.get("min_count", 1 if default is None and "max_count" not in demand else default or 0)
        most = demand.get("max_count", default)
        if count < least or (most is not None and count > most):
            complaints.append(f"log {demand}: {count} lines")
        for side in ("after", "before"):
            complaints += [
                f"log {demand}: not {side} {anchor}"
                for anchor in demand.get(side, [])
                if not _is_order(side, places, _places(anchor, lines))
            ]
    return complaints


def _places(wanted: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> list[int]:
    return [place for place, line in enumerate(lines) if _is_line(wanted, line)]


def _is_order(side: str, places: list[int], anchors: list[int]) -> bool:
    if not places or not anchors:
        return not places
    return places[0] > anchors[-1] if side == "after" else places[-1] < anchors[0]


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}  # something else than a log line was printed
    return value if isinstance(value, dict) else {}


def _is_line(wanted: Mapping[str, Any], line: Mapping[str, Any]) -> bool:
    return all(member in line and _is_field(value, line[member]) for member, value in wanted.items())


def _is_field(wanted: Any, actual: Any) -> bool:
    if not isinstance(wanted, str):
        return wanted == actual and isinstance(wanted, bool) is isinstance(actual, bool)
    regex = re.fullmatch(r"/(.*)/", wanted, re.DOTALL)
    return re.search(regex[1], str(actual)) is not None if regex else wanted == str(actual)
