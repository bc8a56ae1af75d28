"""Typed payloads without an execution: what comes back, what is refused, what is not supported."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import InitVar, asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, Protocol, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typed.shapes import (
    Color,
    Counted,
    Line,
    MaybeStay,
    Money,
    Order,
    OrderNumber,
    Page,
    Paid,
    Parcel,
    Person,
    Refused,
    Rights,
    RushOrder,
    Size,
    Stay,
    Team,
    Tree,
    Visit,
)

from durable_trio import ConfigurationError, OperationId, SerDesError, json_serdes
from durable_trio._protocol.json_values import TYPED_MARK
from durable_trio._runtime.typed import type_serdes
from durable_trio.serdes import SerdesContext

CTX = SerdesContext(operation_id="a1", execution_arn="arn")
T = TypeVar("T")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def write(type_: Any, value: Any) -> str:
    """Serialize *value* as *type_*."""
    return type_serdes(type_, json_serdes()).serialize(value, CTX)


def read(type_: Any, text: str) -> Any:
    """Deserialize *text* as *type_*."""
    return type_serdes(type_, json_serdes()).deserialize(text, CTX)


# --- round trips -----------------------------------------------------------------------------------------

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
decimals = st.decimals(allow_nan=False, allow_infinity=False)
moneys = st.builds(Money, decimals, text)
zones: Any = st.none() | st.sampled_from([UTC, ZoneInfo("Europe/Berlin")])
datetimes = st.datetimes(
    datetime(1980, 1, 1), datetime(2030, 1, 1), timezones=zones, allow_imaginary=False
).filter(lambda at: at.tzinfo is not None or not at.fold)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
orders = st.builds(
    Order,
    st.uuids(),
    datetimes,
    st.lists(moneys, max_size=3),
    st.dictionaries(text, plain, max_size=3),
    st.none() | st.sampled_from(Color),
)
trees = st.recursive(
    st.builds(Tree, st.integers()), lambda t: st.builds(Tree, st.integers(), st.lists(t, max_size=3))
)
people = st.builds(
    Person,
    name=text,
    born=st.dates(),
    scores=st.dictionaries(st.uuids(), st.integers(-(2**60), 2**60), max_size=2),
)
visits = st.fixed_dictionaries({"at": datetimes}, optional={"count": st.integers()})

VALUES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (Order, orders),
    (Order | None, st.none() | orders),
    (list[Order], st.lists(orders, max_size=3)),
    (Sequence[Money], st.lists(moneys, max_size=3)),
    (dict[str, Money], st.dictionaries(text, moneys, max_size=3)),
    (dict[int, Money], st.dictionaries(st.integers(), moneys, max_size=3)),
    (dict[UUID, date], st.dictionaries(st.uuids(), st.dates(), max_size=3)),
    (dict[Size, bool], st.dictionaries(st.sampled_from(Size), st.booleans())),
    (dict[bool, int], st.dictionaries(st.booleans(), st.integers())),
    (Tree, trees),
    (list[Tree], st.lists(trees, max_size=2)),
    (Page[Money], st.builds(Page[Money], st.lists(moneys, max_size=2), st.none() | moneys)),
    (Visit, visits),
    (list[Visit], st.lists(visits, max_size=3)),
    (Line, st.builds(Line, st.integers(), st.dates())),
    (Parcel, st.builds(Parcel, moneys, st.integers())),
    (Person, people),
    (Team, st.builds(Team, people)),
    (Paid | Refused | None, st.none() | st.builds(Paid, text) | st.builds(Refused, text)),
    (Paid | list[Refused], st.builds(Paid, text) | st.lists(st.builds(Refused, text), max_size=2)),
    (Color, st.sampled_from(Color)),
    (Size, st.sampled_from(Size)),
    (Rights, st.sampled_from([Rights(0), *Rights, Rights.READ | Rights.WRITE])),
    (Literal["a", 1, True, None], st.sampled_from(["a", 1, True, None])),
    (Literal[Color.RED, "blue"], st.sampled_from([Color.RED, "blue"])),
    (datetime, datetimes),
    (date, st.dates()),
    (time, st.times().filter(lambda at: not at.fold)),
    (timedelta, st.timedeltas()),
    (Decimal, decimals),
    (UUID, st.uuids()),
    (bytes, st.binary(max_size=20)),
    (tuple[int, str], st.tuples(st.integers(), text)),
    (tuple[Money, ...], st.lists(moneys, max_size=3).map(tuple)),
    (tuple[()], st.just(())),
    (set[date], st.sets(st.dates(), max_size=3)),
    (frozenset[Color], st.frozensets(st.sampled_from(Color))),
    (OrderNumber, text),
    (list[OrderNumber], st.lists(text, max_size=2)),
    (Annotated[Money, "anything"], moneys),
    (float | None, st.none() | st.floats(allow_nan=False, allow_infinity=False)),
    (
        int | float | str | None,
        st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    ),
    (list[OperationId], st.just([OperationId("a1")])),
    (dict[str, Any], st.dictionaries(text, plain, max_size=3)),
]


@pytest.mark.parametrize(("type_", "values"), VALUES, ids=[repr(type_) for type_, _ in VALUES])
def test_a_value_comes_back_equal_and_of_its_type(type_: Any, values: st.SearchStrategy[Any]) -> None:
    """Reading gives what was written, of the same type; the text is JSON for everybody else."""

    @given(values)
    def check(value: Any) -> None:
        stored = write(type_, value)
        found = read(type_, stored)
        assert found == value
        assert type(found) is type(value)
        assert write(type_, found) == stored
        json.loads(stored)

    check()


@given(visits | st.lists(datetimes) | st.lists(decimals).map(tuple))
def test_what_was_stored_untyped_is_read_by_its_type(value: Any) -> None:
    """An annotation that is added later fits the tagged text that is stored already."""
    stored = json_serdes().serialize(value, CTX)
    types: dict[type, Any] = {dict: Visit, list: list[datetime], tuple: tuple[Decimal, ...]}
    type_ = types[type(value)]

    assert read(type_, stored) == value


def test_sets_and_maps_that_were_stored_untyped_are_read_by_their_type() -> None:
    """Tags of containers stand for what the annotation then says."""
    for type_, value in (
        (set[int], {1, 2}),
        (frozenset[str], frozenset("a")),
        (dict[int, date], {1: NOON.date()}),
    ):
        assert read(type_, json_serdes().serialize(value, CTX)) == value


@given(orders)
def test_what_was_stored_by_its_type_is_not_read_untyped(order: Order) -> None:
    """Untyped reading would take dates for text: it is refused, and tells the remedy."""
    with pytest.raises(SerDesError, match="bring the annotation back"):
        json_serdes().deserialize(write(Order, order), CTX)


def test_what_is_the_same_both_ways_has_no_mark() -> None:
    """Where no part was converted the text is that of untyped storage, and either reads it."""
    for type_, value in (
        (Visit | None, None),
        (list[Money], []),
        (OrderNumber, "7"),
        (dict[str, Any], {"$uuid": 1}),
    ):
        stored = write(type_, value)
        assert stored == json_serdes().serialize(value, CTX)
        assert read(type_, stored) == value


def test_the_forms_are_a_file_format() -> None:
    """Running executions store these."""
    assert write(Money, Money(Decimal("1.50"))) == '\t \t{"amount":"1.50","currency":"EUR"}'
    assert write(datetime, NOON) == '\t \t"2026-03-01T12:00:00+00:00"'
    assert write(Line, Line(1)) == '\t \t[1,"2030-01-01"]'
    assert write(set[int], {2, 1}) == "\t \t[1,2]"
    assert write(dict[int, bytes], {1: b"x"}) == '\t \t{"1":"eA=="}'
    assert write(Color, Color.MIXED) == '\t \t[1,"x"]'


# --- what does not fit ------------------------------------------------------------------------------------

ORDER = Order(UUID(int=1), NOON, [Money(Decimal(1))])

MISFITS: list[tuple[Any, Any, str]] = [
    (Order, RushOrder(UUID(int=1), NOON, []), "$: a RushOrder would come back as Order"),
    (Order, Order("x", NOON, []), "$.id: 'x' is no UUID"),  # type: ignore[arg-type]  # on purpose
    (Order, Order(UUID(int=1), NOON, [Money("much")]), "$.lines[0].amount: 'much' is no Decimal"),  # type: ignore[arg-type]
    (Order, Order(UUID(int=1), NOON, [], {"a": (1, 2)}), "$.extra.a: this tuple is or holds what"),
    (Order, {"id": str(UUID(int=1))}, "$.at: is missing"),
    (
        list[Order],
        [ORDER, {**asdict(ORDER), "lines": [], "more": 1}],
        "$[1]: has more, which Order has no field",
    ),
    (dict[str, Money], {"a": Money(Decimal(1)), "b": 3}, "$.b: must be an object for Money, not a int"),
    (dict[str, Money], {1: Money(Decimal(1))}, '$["1"]: must be str, not a int'),
    (dict[int, str], {"x": "y"}, "$.x: 'x' is no whole number"),
    (datetime, NOON.date(), "$: must be datetime, not a date"),
    (date, NOON, "$: must be date, not a datetime"),
    (list[date], {NOON.date()}, "$: must be a list, not a set"),
    (set[int], [1, 1], "$: holds a member twice"),
    (tuple[int, str], (1,), "$: has 1 members, and must have 2"),
    (tuple[int, ...], Line(1), "$: must be a tuple, not a Line"),
    (Line, (1, NOON.date()), "$: must be an array for Line, not a tuple"),
    (Visit, {"count": 1}, "$: 'at' is missing for Visit"),
    (Visit, {"at": NOON, "more": NOON}, "$.more: this datetime is or holds what"),
    (Visit, {"at": NOON, "count": True}, "$.count: must be int, not a bool"),
    (Paid | None, 3, "$: a int fits no member"),
    (Paid | Refused, {"neither": 1}, "$: cannot be told to be one of Paid, Refused"),
    (Color, "green", "$: 'green' is no value of Color"),
    (Color, Size.SMALL, "$: must be Color, not a Size"),
    (OrderNumber, Size.SMALL, "$: must be str, not a Size"),
    (Literal["a"], "b", "$: must be one of 'a'"),
    (list[Money | None], [None, 1.5], "$[1]: a float fits no member"),
    (float | None, 10**400, "$: must be float, not a int"),
    (Decimal | None, 0.1234567890123456, "fits no member"),
    (list[Decimal], [0.1234567890123456], "$[0]: 0.1234567890123456 has too many digits"),
    (Person, {"name": "Ada", "born": "soon"}, "$.born: Input should be a valid date"),
    (Person, 3, "$: Input should be"),
    (Team, Team(Person.model_construct(name=3, born=NOON.date())), "$.lead.name: Input should be"),
    (Counted, Counted(1), ""),
    (list[Money], [float("nan")], "$[0]: nan has no JSON form"),
    (list[Money], [object()], "$[0]: object has no JSON form"),
    (OperationId, "not an id!", "is no OperationId"),
    (tuple[OperationId, int], ("not an id!", 1), "$[0]: 'not an id!' is no OperationId"),
]


@pytest.mark.parametrize(("type_", "value", "message"), MISFITS)
def test_a_value_that_does_not_fit_is_refused_with_its_path(type_: Any, value: Any, message: str) -> None:
    """What would not come back as what it is cannot be stored."""
    if message:
        with pytest.raises(SerDesError) as caught:
            write(type_, value)
        assert message in str(caught.value)
    else:
        assert read(type_, write(type_, value)) == value


def test_a_field_that_the_constructor_does_not_take_is_not_lost() -> None:
    """A class with such a field is only stored as long as the constructor would make it equal."""
    counted = Counted(1)
    counted.seen = 5

    with pytest.raises(SerDesError, match="would be lost"):
        write(Counted, counted)


def test_types_of_typing_extensions_are_the_same() -> None:
    """On older Pythons they are classes of their own; a type alias is what it stands for."""

    stay = {"since": NOON.date()}
    for type_, value in ((Stay, stay), (MaybeStay, stay), (MaybeStay, None), (list[MaybeStay], [stay, None])):
        assert read(type_, write(type_, value)) == value


def test_a_class_that_needs_more_than_its_fields_is_refused() -> None:
    """What is not kept in a field cannot be given to the constructor again."""

    @dataclass
    class Seeded:
        value: int
        seed: InitVar[int]

    with pytest.raises(SerDesError, match=r"TypeError: .*seed"):
        type_serdes(Seeded, json_serdes()).serialize(Seeded(1, 2), CTX)


def test_a_cycle_is_refused() -> None:
    """A value that contains itself has no end."""
    tree = Tree(1)
    tree.below.append(tree)

    with pytest.raises(SerDesError, match="contains itself"):
        write(Tree, tree)


def test_a_field_that_was_removed_does_not_stop_an_old_execution() -> None:
    """What is stored of a field that the class no longer has is passed over; a new field needs a default."""
    assert read(Money, TYPED_MARK + '{"amount":"1","currency":"EUR","old":1}') == Money(Decimal(1))
    assert read(Money, TYPED_MARK + '{"amount":"1"}') == Money(Decimal(1))


@pytest.mark.parametrize(
    "type_",
    [
        Any,
        object,
        T,
        Protocol,
        Callable[[], int],
        "Order",
        3,
        datetime | str,
        UUID | date,
        Money | dict[str, int],
        Money | Tree | Any,
        Person | Order,
        RushOrder | Order | Tree | Parcel | Money | Counted | Paid,
        list[int] | set[int],
        dict[tuple[int, int], int],
        dict[Money, int],
        list["Nowhere"],  # type: ignore[name-defined]  # noqa: F821  # on purpose
        Page,
        type,
    ],
    ids=repr,
)
def test_a_type_without_a_conversion_is_refused(type_: Any) -> None:
    """Given explicitly, a type that values cannot be converted to is an error that names it."""
    with pytest.raises(ConfigurationError, match="result_type="):
        type_serdes(type_, json_serdes())


# --- anything may be stored -------------------------------------------------------------------------------

ALL_TYPES = [type_ for type_, _ in VALUES]


@given(st.sampled_from(ALL_TYPES), plain.map(json.dumps) | text | st.just("[" * 100_000), st.booleans())
def test_reading_raises_nothing_but_serdes_errors(type_: Any, stored: str, marked: bool) -> None:
    """Whatever is stored, reading it gives a value or says what is wrong."""
    serdes = type_serdes(type_, json_serdes())
    try:
        serdes.deserialize(TYPED_MARK + stored if marked else stored, CTX)
    except SerDesError as error:
        assert str(error).startswith("cannot deserialize")


@given(st.sampled_from(ALL_TYPES), st.one_of(*[values for _, values in VALUES]))
def test_any_value_under_any_type_comes_back_as_it_would_be_read(type_: Any, value: Any) -> None:
    """Writing a value under a type it does not have is refused, or gives what reading it gives, again and again."""
    serdes = type_serdes(type_, json_serdes())
    try:
        stored = serdes.serialize(value, CTX)
    except SerDesError:
        return
    found = serdes.deserialize(stored, CTX)
    assert serdes.deserialize(serdes.serialize(found, CTX), CTX) == found


def test_a_type_that_nests_without_end_is_read_without_harm() -> None:
    """A recursive type and a deep text: an error, no crash."""
    deep = '{"value":1,"below":[' * 5000 + "]}" * 5000

    with pytest.raises(SerDesError):
        read(Tree, deep)
