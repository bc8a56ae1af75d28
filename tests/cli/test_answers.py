from __future__ import annotations

import pytest

from durable_trio._protocol.operation import ErrorObject
from durable_trio.cli.answers import Answer, Answers
from durable_trio.cli.errors import UserError


def test_an_answer_is_json_or_a_failure() -> None:
    """``NAME=JSON`` succeeds, ``NAME=!fail:MESSAGE`` fails; the JSON may hold anything, ``=`` too."""
    answers = Answers.parse(['approval={"by": "a=b"}', "stock=!fail:none: left"])

    assert answers.get("approval") == Answer(result='{"by":"a=b"}')
    assert answers.get("stock") == Answer(error=ErrorObject(type="CallbackFailed", message="none: left"))
    assert answers.get("other") is None


def test_unused_answers_are_known() -> None:
    """What no callback asked for is reported in the end."""
    answers = Answers.parse(["a=1", "b=2"])
    answers.mark_used("a")

    assert answers.unused == ["b"]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["approval"], "is not NAME=JSON"),
        (["=1"], "is not NAME=JSON"),
        (["approval=yes"], "--answer approval is not JSON: Expecting value"),
        (["approval=NaN"], "NaN is not a JSON value"),
        (["approval=1e999"], "is not JSON"),
        (["a=1", "a=2"], "two answers to 'a'"),
    ],
)
def test_wrong_answers_are_refused(texts: list[str], message: str) -> None:
    """Every answer is checked before anything starts."""
    with pytest.raises(UserError, match=message):
        Answers.parse(texts)
