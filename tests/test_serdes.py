from __future__ import annotations

import contextlib
import json
import math
import subprocess
import sys
from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_trio._protocol.json_walk import MAX_DEPTH
from durable_trio.exceptions import RetryableSerDesError, SerDesError, ValidationError
from durable_trio.serdes import (
    SerDes,
    SerdesContext,
    custom_serdes,
    json_serdes,
    pass_through,
    plain_json,
)

CTX = SerdesContext(operation_id="a1", execution_arn="arn", name="charge")


def write(value: Any, serdes: SerDes | None = None) -> str:
    """Serialize with the default."""
    return (serdes or json_serdes()).serialize(value, CTX)


def read(text: str, serdes: SerDes | None = None) -> Any:
    """Deserialize with the default."""
    return (serdes or json_serdes()).deserialize(text, CTX)


def shape(value: Any) -> Any:
    """Return *value* with every type spelled out, so that equality is exact: 1, 1.0 and True differ."""
    kind = type(value)
    if kind is dict:
        return kind, tuple((shape(key), shape(member)) for key, member in value.items())
    if kind in (list, tuple):
        return kind, tuple(shape(member) for member in value)
    if kind in (set, frozenset):
        return kind, frozenset(shape(member) for member in value)
    if kind is datetime:
        # With its offset, which is all that ``fold`` decides.
        return kind, value.isoformat(), getattr(value.tzinfo, "key", None)
    if kind in (float, Decimal):
        return kind, str(value)  # -0.0 is not 0.0, 1.50 is not 1.5
    return kind, value


# --- lossless --------------------------------------------------------------------------------------------

ZONES = [ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("UTC")]

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
offsets = st.integers(-86_340, 86_340).map(lambda seconds: timezone(timedelta(seconds=seconds)))
datetimes = (
    st.datetimes(timezones=st.none() | offsets)
    | st.datetimes(
        datetime(1980, 1, 1),
        datetime(2030, 1, 1),
        timezones=st.sampled_from(ZONES),
        allow_imaginary=False,
    )
).filter(lambda at: not (at.tzinfo is None and at.fold))
hashables = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
    | st.sampled_from(["$", "$$", "$tuple", "$map", "$bytes", "$$uuid"])
    | st.binary(max_size=8)
    | st.uuids()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | datetimes
    | st.dates()
    | st.times().filter(lambda at: not at.fold)
    | st.timedeltas(),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
values = st.recursive(
    hashables,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.sets(hashables, max_size=3)
        | st.dictionaries(text | st.sampled_from(["$", "$$", "$tuple", "$uuid"]), inner, max_size=3)
        | st.dictionaries(hashables, inner, max_size=3)
    ),
    max_leaves=15,
)


@given(values)
def test_values_come_back_as_they_were(value: Any) -> None:
    """What is stored comes back equal, and of the same types all the way down."""
    assert shape(read(write(value))) == shape(value)


def test_an_offset_of_a_part_of_a_second_is_refused() -> None:
    """Python cannot read back every such offset that it writes, so none is written."""
    for offset in (timedelta(microseconds=1), timedelta(hours=-1, milliseconds=3)):
        with pytest.raises(SerDesError, match="whole seconds"):
            write(datetime(2000, 1, 1, tzinfo=timezone(offset)))


@given(values)
def test_the_text_is_json(value: Any) -> None:
    """The text is one that any JSON reader reads, and that UTF-8 can carry."""
    json.loads(write(value).encode())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(text.filter(lambda key: not key.startswith("$")), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(json_values)
def test_plain_json_stays_plain(value: Any) -> None:
    """A value that JSON has a form for is written in it: other languages and the console read it."""
    assert shape(json.loads(write(value))) == shape(value)


@given(values)
def test_equal_values_have_equal_text(value: Any) -> None:
    """Writing what was read gives the same text again: sets have one order."""
    assert write(read(write(value))) == write(value)


GOLDEN = [
    (None, "null"),
    ({"name": "Zoë", "price": 9.5, "tags": ["a", "b"]}, '{"name":"Zoë","price":9.5,"tags":["a","b"]}'),
    (datetime(2026, 3, 1, 12, tzinfo=UTC), '{"$datetime":"2026-03-01T12:00:00+00:00"}'),
    (
        datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=ZoneInfo("Europe/Berlin")),
        '{"$datetime":"2026-03-01T12:00:00.000005+01:00[Europe/Berlin]"}',
    ),
    (datetime(2026, 3, 1, 12), '{"$datetime":"2026-03-01T12:00:00"}'),
    (date(2026, 3, 1), '{"$date":"2026-03-01"}'),
    (time(12, 30), '{"$time":"12:30:00"}'),
    (timedelta(days=1, milliseconds=1), '{"$timedelta":"PT86400.001000S"}'),
    (timedelta(seconds=-90), '{"$timedelta":"-PT90S"}'),
    (Decimal("1.50"), '{"$decimal":"1.50"}'),
    (UUID(int=1), '{"$uuid":"00000000-0000-0000-0000-000000000001"}'),
    (b"\x00\xff", '{"$bytes":"AP8="}'),
    ((1, (2,)), '{"$tuple":[1,{"$tuple":[2]}]}'),
    ({10, 9, 1}, '{"$set":[1,10,9]}'),
    (frozenset({"a"}), '{"$frozenset":["a"]}'),
    ({1: "one", "1": "text"}, '{"$map":[[1,"one"],["1","text"]]}'),
    ({"$tuple": [1]}, '{"$$tuple":[1]}'),
    ({"$$": 1}, '{"$$$":1}'),
    ({"$a": 1, "b": 2}, '{"$a":1,"b":2}'),
    ({}, "{}"),
]


@pytest.mark.parametrize(("value", "expected"), GOLDEN)
def test_the_format_does_not_change(value: Any, expected: str) -> None:
    """Running executions store this text: it is a file format, in both directions."""
    assert write(value) == expected
    assert shape(read(expected)) == shape(value)


def test_the_two_sides_of_a_clock_change_are_told_apart() -> None:
    """A zoned datetime in the hour that happens twice keeps which of the two it was."""
    berlin = ZoneInfo("Europe/Berlin")
    first = datetime(2026, 10, 25, 2, 30, tzinfo=berlin)
    second = first.replace(fold=1)

    assert read(write(first)).utcoffset() == timedelta(hours=2)
    assert read(write(second)).utcoffset() == timedelta(hours=1)
    assert read(write(second)).tzinfo is berlin


class Exotic(tzinfo):
    """A time zone of somebody's own."""

    def __init__(self, hours: int | None) -> None:
        self.hours = hours

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        """Return a fixed offset, or none."""
        return None if self.hours is None else timedelta(hours=self.hours)

    def dst(self, dt: datetime | None) -> timedelta | None:
        """Return no saving."""
        return None

    def tzname(self, dt: datetime | None) -> str:
        """Return a name."""
        return "exotic"


def test_other_zone_classes_keep_their_offset() -> None:
    """A zone class that text cannot name comes back as its offset: the same instant."""
    at = datetime(2026, 3, 1, 12, tzinfo=Exotic(3))

    assert read(write(at)) == at
    assert read(write(at)).tzinfo == timezone(timedelta(hours=3))


def test_a_part_that_is_used_twice_is_written_twice() -> None:
    """Only a part that contains itself is a cycle."""
    part = [1]

    assert write([part, (part, part)]) == '[[1],{"$tuple":[[1],[1]]}]'


# --- or refused ------------------------------------------------------------------------------------------


class Color(Enum):
    """Has no JSON form."""

    RED = "red"


class Name(StrEnum):
    """Looks like text to ``json``."""

    ADA = "ada"


class Level(IntEnum):
    """Looks like a number to ``json``."""

    LOW = 1


class Point(NamedTuple):
    """Looks like a list to ``json``."""

    x: int


@dataclass
class Order:
    """Has no JSON form."""

    id: int = 1


def nested(depth: int, wrap: Any) -> Any:
    """Return a value with *depth* containers around each other."""
    value = 1
    for _ in range(depth):
        value = wrap(value)
    return value


CYCLE: list[Any] = [1]
CYCLE.append({"again": CYCLE})
DICT_CYCLE: dict[str, Any] = {}
DICT_CYCLE["a"] = (DICT_CYCLE, DICT_CYCLE)

REFUSED = [
    ({"orders": [0, 1, 2, {"price": math.nan}]}, "$.orders[3].price: nan has no JSON form"),
    ([math.inf], "$[0]: inf has no JSON form"),
    ((1, -math.inf), "$[1]: -inf has no JSON form"),
    (
        {"odd key": Color.RED},
        '$["odd key"]: Color has no JSON form; use plain values, or give .*custom_serdes',
    ),
    ([Name.ADA], "$[0]: Name is a subclass of str and would come back as one"),
    ({"a": Level.LOW}, "$.a: Level is a subclass of int"),
    ({Name.ADA: 1}, "$[<Name>]: Name is a subclass of str"),
    (Point(1), "$: Point is a subclass of tuple"),
    (OrderedDict(a=1), "$: OrderedDict is a subclass of dict"),
    ({"order": Order()}, "$.order: Order has no JSON form"),
    (deque([1]), "$: deque has no JSON form"),
    (bytearray(b"x"), "$: bytearray has no JSON form"),
    ([1j], "$[0]: complex has no JSON form"),
    (object(), "$: object has no JSON form"),
    (Order, "$: type has no JSON form"),
    ({Decimal("NaN"): 1}, "$[Decimal('NaN')]: Decimal('NaN') is not a finite number"),
    ({(1, math.nan): 1}, "$[<tuple>][1]: nan"),
    ({1: {2: object()}}, "$[1][2]: object"),
    ({object()}, "${}: object"),
    ("\ud800", "$: this text has a lone surrogate"),
    ([{"a": "ü\udfff"}], "$[0].a: this text has a lone surrogate"),
    ({"\ud800": 1}, '$["\\ud800"]: this text has a lone surrogate'),
    (10**5000, "$: this integer is too long"),
    (CYCLE, "$[1].again: this list contains itself"),
    (DICT_CYCLE, "$.a[0]: this dict contains itself"),
    (time(2, 30, tzinfo=ZoneInfo("Europe/Berlin")), "$: a time whose zone has no fixed offset"),
    (time(2, 30, fold=1), "$: a time with fold=1"),
    (datetime(2026, 10, 25, 2, 30, fold=1), "$: a naive datetime with fold=1"),
    (
        datetime(2026, 3, 29, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")),
        "$: 2026-03-29 02:30:00 does not exist in",
    ),
    (datetime(2026, 3, 29, tzinfo=Exotic(None)), "$: a Exotic that tells no offset"),
    (datetime.min.replace(tzinfo=ZoneInfo("Europe/Berlin")), "$: "),
]


@pytest.mark.parametrize(
    ("value", "message"), REFUSED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_cannot_come_back_is_refused_with_its_path(value: Any, message: str) -> None:
    """A value that would change silently, or has no form, is refused; the message says where it is."""
    with pytest.raises(SerDesError) as caught:
        write(value)

    assert str(caught.value).startswith(f"cannot serialize {message.partition(' .*')[0]}")


@pytest.mark.parametrize(
    "wrap",
    [lambda v: [v], lambda v: {"a": v}, lambda v: (v,), lambda v: {1: v}, lambda v: frozenset({v})],
    ids=["list", "dict", "tuple", "map", "frozenset"],
)
def test_nesting_has_a_limit(wrap: Any) -> None:
    """Up to the limit a value comes back; one level more is refused, whatever the containers are."""
    assert read(write(nested(MAX_DEPTH, wrap))) == nested(MAX_DEPTH, wrap)

    with pytest.raises(
        SerDesError, match=r"^cannot serialize \$.{190,220}: nested more than 100 levels deep"
    ):
        write(nested(MAX_DEPTH + 1, lambda v: [wrap(v)][0]))


def test_a_stack_that_is_nearly_used_up_is_a_serdes_error() -> None:
    """Running out of stack while writing is an error like any other, and no crash."""

    def deep(levels: int) -> str:
        return write(nested(90, lambda v: (v,))) if levels == 0 else deep(levels - 1)

    with pytest.raises(SerDesError, match="nested too deeply"):
        deep(sys.getrecursionlimit() - 300)


# --- reading ---------------------------------------------------------------------------------------------


TAGS = [
    "$bytes",
    "$uuid",
    "$decimal",
    "$datetime",
    "$date",
    "$time",
    "$timedelta",
    "$tuple",
    "$set",
    "$frozenset",
    "$map",
    "$",
    "$$",
    "$x",
    "a",
]


@given(
    st.text()
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(TAGS),
                inner
                | st.sampled_from(
                    ["NaN", "P1D", "2026-01-01T00:00:00+00:00[../x]", "1E+99999999999999999999"]
                ),
                max_size=2,
            )
        ),
        max_leaves=8,
    ).map(json.dumps)
)
def test_reading_anything_gives_a_value_or_a_serdes_error(anything: str) -> None:
    """Text that somebody else wrote never raises anything else."""
    with contextlib.suppress(SerDesError):
        read(anything)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ("", "this is not JSON"),
        ("{", "this is not JSON"),
        ("NaN", "NaN is not JSON"),
        ("[-Infinity]", "-Infinity is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("1" * 5000, "this is not JSON: Exceeds the limit"),
        ('{"$color":"red"}', "unknown tag '$color'"),
        (r'{"\u0024color":"red"}', "unknown tag '$color'"),
        ('{"$":1}', "unknown tag '$'"),
        ('{"$uuid":7}', "$uuid must hold a string, not int"),
        ('{"$uuid":"x"}', "$uuid holds 'x', which cannot be read"),
        ('{"$bytes":"%%%"}', "$bytes holds '%%%'"),
        ('{"$decimal":"NaN"}', "$decimal holds 'NaN'"),
        ('{"$timedelta":"PT1H"}', "$timedelta holds 'PT1H'"),
        ('{"$timedelta":"PT999999999999999S"}', "$timedelta holds"),
        (
            '{"$datetime":"2026-01-01T00:00:00+00:00[Mars/Base]"}',
            "this system knows no time zone 'Mars/Base'",
        ),
        ('{"$datetime":"2026-01-01T00:00:00+00:00[../../etc/passwd]"}', "$datetime holds"),
        ('{"$datetime":"2026-01-01T00:00:00[Europe/Berlin]"}', "a datetime with a zone needs an offset"),
        ('{"$tuple":{"a":1}}', "$tuple must hold a list, not dict"),
        ('{"$set":[[1]]}', "$set holds what it cannot"),
        ('{"$set":[1,1]}', "$set holds a member twice"),
        ('{"$map":[1]}', "$map holds what it cannot"),
        ('{"$map":["ab"]}', "$map holds what it cannot"),
        ('{"$map":[[1]]}', "$map holds what it cannot"),
        ('{"$map":[[1,2],[1,3]]}', "$map holds a member twice"),
    ],
)
def test_text_that_cannot_be_read_is_refused(stored: str, message: str) -> None:
    """Malformed JSON and malformed or unknown tags are errors that quote what was found."""
    with pytest.raises(SerDesError) as caught:
        read(stored)

    assert message in str(caught.value)


def test_an_escaped_dollar_is_a_dollar() -> None:
    """Another language may write the tag's ``$`` as an escape; it is the same JSON."""
    assert read(r'{"\u0024tuple":[1]}') == (1,)


@pytest.mark.parametrize("stored", [None, b"1", 1])
def test_only_text_is_read(stored: Any) -> None:
    """A payload is text; anything else is a mistake of the caller's."""
    with pytest.raises(SerDesError, match="JSON is read from text"):
        read(stored)


# --- plain_json ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, None, "ü", {"$x": 1}]}, '{"a":[1,null,"ü",{"$x":1}]}'),
        ((1, {2}, frozenset({"b", "a"}), deque([3])), '[1,[2],["a","b"],[3]]'),
        (datetime(2026, 3, 1, tzinfo=ZoneInfo("Europe/Berlin")), '"2026-03-01T00:00:00+01:00"'),
        ([date(2026, 3, 1), time(1, 2), timedelta(seconds=1.5)], '["2026-03-01","01:02:00","PT1.500000S"]'),
        ([Decimal("1.50"), UUID(int=1), b"ab"], '["1.50","00000000-0000-0000-0000-000000000001","YWI="]'),
        ([Color.RED, Name.ADA, Level.LOW, Point(3)], '["red","ada",1,[3]]'),
        ({"order": Order(7)}, '{"order":{"id":7}}'),
        (OrderedDict(b=1, a=2), '{"b":1,"a":2}'),
        ({1: "a", True and 2.5: "b", None: "c", Color.RED: "d", date(2026, 3, 1): "e"}, None),
    ],
)
def test_plain_json_writes_what_anybody_reads(value: Any, expected: str | None) -> None:
    """Without tags, what JSON lacks is written as its usual text."""
    expected = expected or '{"1":"a","2.5":"b","null":"c","red":"d","2026-03-01":"e"}'

    assert write(value, plain_json) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [math.nan]}, "$.a[0]: nan has no JSON form"),
        ({1: "a", "1": "b"}, "$: two keys of this dict have the same text, '1'"),
        ({(1, 2): 3}, "$[<tuple>]: a key of type tuple has no JSON form"),
        ([object()], "$[0]: object has no JSON form; return plain values"),
        (Order, "$: type has no JSON form"),
        (CYCLE, "$[1].again: this list contains itself"),
        (nested(101, lambda v: [v]), "nested more than 100 levels deep"),
        (["\ud800"], "$[0]: this text has a lone surrogate"),
    ],
)
def test_plain_json_refuses_what_it_cannot_write(value: Any, message: str) -> None:
    """What has no usual text is refused with its path."""
    with pytest.raises(SerDesError) as caught:
        write(value, plain_json)

    assert message in str(caught.value)


def test_plain_json_reads_tags_as_data() -> None:
    """Input comes from strangers: what looks like a tag is their data."""
    assert read('{"$uuid":"x"}', plain_json) == {"$uuid": "x"}

    with pytest.raises(SerDesError, match="this is not JSON"):
        read("{", plain_json)


# --- others ----------------------------------------------------------------------------------------------


def test_pass_through_takes_text_only() -> None:
    """Text is stored as it is; a StrEnum or a number would come back as something else."""
    assert write("{raw", pass_through()) == "{raw"
    assert read("{raw", pass_through()) == "{raw"
    for value in (1, None, b"x", Name.ADA):
        with pytest.raises(SerDesError, match="give it a str, not"):
            write(value, pass_through())


def with_context(value: Any, ctx: SerdesContext) -> str:
    """A function of two arguments."""
    return f"{ctx.name}:{value}"


class Stage:
    """Functions of a user's object."""

    def dump(self, value: Any) -> str:
        """Take one argument."""
        return repr(value)

    def dump_with(self, value: Any, ctx: SerdesContext) -> str:
        """Take two arguments."""
        return with_context(value, ctx)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (json.dumps, "7"),
        (str, "7"),
        (lambda value: f"<{value}>", "<7>"),
        (lambda value, indent=None: f"<{value}{indent}>", "<7None>"),
        (with_context, "charge:7"),
        (Stage().dump, "7"),
        (Stage().dump_with, "charge:7"),
        (partial(with_context, ctx=CTX), "charge:7"),
    ],
)
def test_custom_functions_take_one_argument_or_two(function: Any, expected: str) -> None:
    """A function gets the context only if it cannot be called without."""
    assert write(7, custom_serdes(function, int)) == expected


def test_custom_functions_read_with_the_context() -> None:
    """The same holds for reading."""
    serdes = custom_serdes(with_context, lambda text, ctx: text.removeprefix(f"{ctx.name}:"))

    assert read(write("x", serdes), serdes) == "x"
    assert isinstance(serdes, SerDes)


def test_errors_of_custom_functions_are_serdes_errors() -> None:
    """Whatever a user's function raises becomes a SerDesError with its cause; our own errors pass."""

    def fails(value: Any) -> str:
        raise KeyError("k")

    def passing(value: Any) -> str:
        raise RetryableSerDesError("the bucket is away")

    with pytest.raises(SerDesError, match="cannot serialize a int: KeyError") as caught:
        write(1, custom_serdes(fails, int))
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(SerDesError, match="cannot deserialize 'x': ValueError"):
        read("x", custom_serdes(str, int))
    with pytest.raises(RetryableSerDesError):
        write(1, custom_serdes(passing, int))
    with pytest.raises(SerDesError, match=r"must return str, but .* returned bytes"):
        write("x", custom_serdes(lambda value: value.encode(), str))


async def async_dump(value: Any) -> str:
    """Is refused: serializers are synchronous."""
    return "x"


@pytest.mark.parametrize("function", [async_dump, lambda: "", lambda a, b, c: "", "text", None])
def test_unfit_functions_are_refused(function: Any) -> None:
    """What cannot be called with one or two arguments is refused when the serdes is made."""
    with pytest.raises(ValidationError, match="deserialize must be a plain function of one or two arguments"):
        custom_serdes(str, function)


def test_serializers_print_as_they_are_written() -> None:
    """The repr of a serializer is how it is made."""
    assert repr(json_serdes()) == "json_serdes()"
    assert repr(plain_json) == "plain_json"
    assert repr(pass_through()) == "pass_through()"
    assert repr(custom_serdes(json.dumps, json.loads)) == "custom_serdes(dumps, loads)"


def test_nothing_is_imported_by_a_name_in_the_text() -> None:
    """Reading text that names modules and files loads none of them."""
    code = (
        "import sys; from durable_trio.serdes import *; from durable_trio.exceptions import SerDesError\n"
        "ctx = SerdesContext('a', 'b'); loaded = set(sys.modules)\n"
        "for tag in ('$datetime', '$uuid', '$decimal', '$object'):\n"
        "    for name in ('antigravity', '2026-01-01T00:00:00+00:00[this/antigravity]'):\n"
        '        try: json_serdes().deserialize(\'{"%s":"%s"}\' % (tag, name), ctx)\n'
        "        except SerDesError: pass\n"
        "sys.exit(bool({'antigravity', 'this', 'pickle'} & (set(sys.modules) - loaded)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
