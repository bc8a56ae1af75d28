"""Values for the tests of serializers."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from durable_trio.serdes import SerDes, SerdesContext

CTX = SerdesContext(
    operation_id="a1", execution_arn="arn:aws:lambda:eu-central-1:1:function:f", name="charge"
)


def write(serdes: SerDes, value: Any, ctx: SerdesContext = CTX) -> str:
    """Serialize."""
    return serdes.serialize(value, ctx)


def read(serdes: SerDes, text: str, ctx: SerdesContext = CTX) -> Any:
    """Deserialize."""
    return serdes.deserialize(text, ctx)


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_offsets = st.integers(-86_340, 86_340).map(lambda seconds: timezone(timedelta(seconds=seconds)))
_aware = st.datetimes(timezones=_offsets).map(lambda at: at.replace(fold=0))
scalars: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
)
leaves: st.SearchStrategy[Any] = (
    st.binary(max_size=8)
    | st.uuids()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | _aware
    | st.dates()
)

aws_values: st.SearchStrategy[Any] = st.recursive(
    scalars | leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(text | st.sampled_from(["t", "v"]), inner, max_size=4)
    ),
    max_leaves=15,
)
"""What both ``aws_python_serdes()`` and AWS's SDK take."""

json_values: st.SearchStrategy[Any] = st.recursive(
    scalars | leaves | st.timedeltas() | st.times().filter(lambda at: not at.fold),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.sets(scalars, max_size=4)
        | st.dictionaries(scalars | st.sampled_from(["$tuple", "$$a"]), inner, max_size=4)
    ),
    max_leaves=15,
)
"""What the default serializer takes."""

SAMPLE: Any = {
    "order": ["o-1", 1, 2.5, None, True],
    "at": datetime(2026, 3, 1, 12, tzinfo=UTC),
    "day": date(2026, 3, 1),
    "hour": time(12),
    "span": timedelta(days=1),
    "price": Decimal("19.90"),
    "raw": b"\x00\xff",
    "pair": (1, {2, 3}),
    7: {"$tuple": []},
}
