"""Answers to callbacks that the user gives beforehand: ``--answer NAME=JSON`` or ``--answer NAME=!fail:WHY``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from durable_trio._protocol.operation import ErrorObject
from durable_trio.cli.errors import UserError
from durable_trio.cli.json_text import compact_json

if TYPE_CHECKING:
    from collections.abc import Iterable

_FAIL: Final = "!fail:"
FAILURE_TYPE: Final = "CallbackFailed"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a callback is answered with: a result (JSON text), or an error."""

    result: str | None = None
    error: ErrorObject | None = None


class Answers:
    """The answers given beforehand, by callback name, and which of them have been used.

    An answer is good for every callback of its name.
    """

    def __init__(self, answers: dict[str, Answer]) -> None:
        self._answers = answers
        self._used: set[str] = set()

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Answers:
        """Read the values of the ``--answer`` options.

        Raises:
            UserError: a value has no name, is not JSON, or a name is given twice.
        """
        answers: dict[str, Answer] = {}
        for text in texts:
            name, equals, value = text.partition("=")
            if not name or not equals:
                raise UserError(f"--answer {text!r} is not NAME=JSON, for example approval=true")
            if name in answers:
                raise UserError(f"--answer gives two answers to {name!r}")
            answers[name] = _parse_answer(name, value)
        return cls(answers)

    def get(self, name: str) -> Answer | None:
        """Return the answer to the callback *name*, or None."""
        return self._answers.get(name)

    def mark_used(self, name: str) -> None:
        """Remember that the answer to *name* was given."""
        self._used.add(name)

    @property
    def unused(self) -> list[str]:
        """The names that no callback had."""
        return [name for name in self._answers if name not in self._used]


def _parse_answer(name: str, value: str) -> Answer:
    if value.startswith(_FAIL):
        return Answer(error=ErrorObject(message=value.removeprefix(_FAIL), type=FAILURE_TYPE))
    return Answer(result=compact_json(value, f"--answer {name}"))
