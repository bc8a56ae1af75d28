"""What an attacker, or a broken disk, may put where payloads and records are stored."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

from hypothesis import strategies as st

from durable_trio.serdes import SerdesContext

CTX = SerdesContext(operation_id="a1", execution_arn="arn", name="charge")

_ENVELOPES = ["t", "v", "all", "index", "status", "result", "error", "payload", "name", "completionReason"]
_VERDICTS = [
    "totalCount",
    "startedIndexes",
    "completedIndexes",
    "args",
    "kwargs",
    "errorType",
    "data",
    "ended",
]
_ERRORS = ["ErrorMessage", "ErrorType", "ErrorData", "StackTrace"]
_REFERENCES = ["durable_trio_file", "sha256", "size", "execution", "operation", "preview"]
_TAGS = ["$tuple", "$set", "$map", "$datetime", "$uuid", "$decimal", "$bytes", "$timedelta", "$$x", "$new"]
_VALUES = ["br", "m", "l", "t", "SUCCEEDED", "FAILED", "STARTED", "ALL_COMPLETED", "os.system", "../../x"]

scalars: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(_VALUES)
)
json_trees: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(_ENVELOPES + _VERDICTS + _ERRORS + _REFERENCES + _TAGS) | st.text(max_size=6),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)
"""Trees of the words that our formats know, in every wrong order."""

payloads: st.SearchStrategy[str] = (
    st.text(max_size=60)
    | json_trees.map(json.dumps)
    | st.binary(max_size=60).map(lambda data: base64.b64encode(data).decode())
)
"""Texts: anything, JSON, base64."""

BOMBS = {
    "open lists": "[" * 200_000,
    "lists": "[" * 900 + "]" * 900,
    "objects": '{"a":' * 900 + "1" + "}" * 900,
    "tags": '{"$tuple":[' * 400 + "]}" * 400,
    "sets of tuples": '{"$set":[' + '{"$tuple":[' * 400 + "]}" * 400 + "]}",
    "envelopes": '{"t":"l","v":[' * 400 + "]}" * 400,
    "digits": "9" * 100_000,
    "exponents": '{"$decimal":"1e999999999"}',
    "batch": '{"type":"MapResult","totalCount":1000000000000,"startedIndexes":[],"completionReason":"ALL_COMPLETED"}',
}


@st.composite
def broken(draw: st.DrawFn, sample: Any) -> Any:
    """Return *sample*, a tree of JSON, with some of its parts replaced."""
    tree = {"root": copy.deepcopy(sample)}
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(tree))
        container, key = draw(st.sampled_from(places))
        container[key] = draw(json_trees)
    return tree["root"]


def _places(tree: Any) -> Any:
    members = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, member in members:
        yield tree, key
        yield from _places(member)


@st.composite
def broken_text(draw: st.DrawFn, sample: str) -> str:
    """Return *sample* with a part of it cut out or replaced."""
    at = draw(st.integers(0, len(sample)))
    return sample[:at] + draw(st.text(max_size=4)) + sample[at + draw(st.integers(0, 6)) :]
