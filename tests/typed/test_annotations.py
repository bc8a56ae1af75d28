"""How the type of a function's result is found."""

from __future__ import annotations

import functools
import gc
import subprocess
import sys
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import pytest
from typed.shapes import Money, Order

from durable_trio import DurableContext, ItemBatcher, Operation, SerDes, SerDesError, cbor_serdes, json_serdes
from durable_trio._runtime import arguments
from durable_trio._runtime.typed import input_serdes, result_serdes
from durable_trio._runtime.typed.annotations import is_plain_type
from durable_trio.serdes import SerdesContext

if TYPE_CHECKING:
    from nowhere import Unknown  # type: ignore[import-not-found]  # what only type checkers would know

CTX = SerdesContext(operation_id="a1", execution_arn="arn")
MONEY = Money(Decimal("1.50"))
T = TypeVar("T")


def serdes_of(fn: Any) -> SerDes:
    """Return how the result of *fn* is stored by default."""
    return result_serdes(fn, json_serdes())


def is_typed(fn: Any) -> bool:
    """Tell whether a ``Money`` that *fn* returns comes back as one."""
    serdes = serdes_of(fn)
    try:
        return bool(serdes.deserialize(serdes.serialize(MONEY, CTX), CTX) == MONEY)
    except SerDesError:
        return False


async def async_body(number: Unknown) -> Money:
    """Have another annotation that cannot be resolved."""
    return MONEY


def plain_body() -> Money:
    """Be a plain function."""
    return MONEY


def gives_awaitable() -> Awaitable[Money]:
    """Be a plain function whose call gives something to await."""
    return async_body(1)


def gives_operation(ctx: DurableContext) -> Operation[Money]:
    """Return an operation of the context."""
    return ctx.step(plain_body)


def decorated(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function as decorators do."""

    @functools.wraps(fn)
    def wrapper(*args: Any) -> Any:
        return fn(*args)

    return wrapper


class Service:
    """Has functions of every kind."""

    def method(self) -> Money:
        """Be a method."""
        return MONEY

    @classmethod
    def class_method(cls) -> Money:
        """Be a class method."""
        return MONEY

    @staticmethod
    def static_method() -> Money:
        """Be a static method."""
        return MONEY

    async def __call__(self, ctx: Any) -> Money:
        """Be called."""
        return MONEY


@pytest.mark.parametrize(
    "fn",
    [
        async_body,
        plain_body,
        gives_awaitable,
        gives_operation,
        decorated(plain_body),
        functools.partial(async_body, 1),
        functools.partial(functools.partial(Service().method)),
        Service().method,
        Service.class_method,
        Service.static_method,
        Service(),
        Money,
    ],
)
def test_the_annotation_is_found(fn: Any) -> None:
    """Functions, methods, partials, wrapped functions, callable objects and classes tell what they return."""
    assert is_typed(fn)


def test_a_name_of_an_enclosing_function_is_found() -> None:
    """A class that is local to the function around the body, and used in it."""

    @dataclass
    class Local:
        at: date

    async def body() -> Local:
        return Local(date(2026, 3, 1))

    serdes = serdes_of(body)
    local = Local(date(2026, 3, 1))
    assert serdes.deserialize(serdes.serialize(local, CTX), CTX) == local


@pytest.mark.parametrize("fn", [print, len, lambda: MONEY, functools.partial(print), object(), str, dict])
def test_without_an_annotation_nothing_changes(fn: Any) -> None:
    """The serializer is the default itself: there is nothing between."""
    assert serdes_of(fn) is json_serdes()


def returning(annotation: Any) -> Any:
    """Return a function that is annotated with *annotation*."""

    def body() -> Any:
        raise AssertionError

    body.__annotations__["return"] = annotation
    return body


@pytest.mark.parametrize(
    "annotation",
    [
        None,
        str,
        int,
        float,
        bool,
        Any,
        object,
        dict,
        list,
        dict[str, Any],
        "None",
        "str",
        "Any",
        "dict[str, Any]",
    ],
    ids=repr,
)
def test_plain_annotations_cost_nothing(annotation: Any) -> None:
    """With an annotation of plain JSON the serializer is the default itself."""
    assert serdes_of(returning(annotation)) is json_serdes()


@pytest.mark.parametrize(
    "type_",
    [
        list[str],
        dict[str, list[int | None]],
        Sequence[float],
        Mapping[str, Any],
        str | None,
        NoReturn,
        list[object],
    ],
    ids=repr,
)
def test_types_of_plain_json_are_stored_untyped(type_: Any) -> None:
    """So that a tuple under ``list[int]`` comes back as the tuple that it is."""
    assert is_plain_type(type_)
    serdes = serdes_of(returning(type_))
    assert serdes.deserialize(serdes.serialize((1, 2), CTX), CTX) == (1, 2)


@pytest.mark.parametrize(
    "type_", [dict[int, str], list[date], tuple[int], set[str], Money | None, T], ids=repr
)
def test_other_types_are_not_plain(type_: Any) -> None:
    """What JSON has no form for, in whatever depth, is no plain JSON."""
    assert not is_plain_type(type_)


def test_a_serializer_of_the_users_beats_the_annotation() -> None:
    """Whoever chose how values are stored has a reason, encryption perhaps."""
    chosen = cbor_serdes()
    assert result_serdes(async_body, chosen) is chosen


@pytest.mark.parametrize(
    "annotation", ["Nowhere", "1 +", T, "list[Nowhere]", datetime | str, Callable[[], int]]
)
def test_an_annotation_that_cannot_be_used_counts_as_none(annotation: Any) -> None:
    """Plain values are stored untyped; where that refuses one, the error tells about the annotation."""
    serdes = serdes_of(returning(annotation))
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)

    assert serdes.serialize(noon, CTX) == json_serdes().serialize(noon, CTX)
    assert serdes.deserialize("[1]", CTX) == [1]
    with pytest.raises(SerDesError, match="its annotation cannot be used"):
        serdes.serialize(MONEY, CTX)


def test_a_function_is_looked_at_once() -> None:
    """What was found is remembered, as long as the function lives, and does not keep it alive."""

    async def body() -> list[Money]:
        return [MONEY]

    serdes = serdes_of(body)
    assert serdes.serialize([MONEY], CTX)
    assert serdes_of(body) is serdes
    gone = weakref.ref(body)
    del body
    gc.collect()
    assert gone() is None


def test_no_annotation_is_looked_at_before_a_value_is_converted() -> None:
    """Taking an operation's id runs nothing that the user wrote into annotations."""
    evaluated: list[int] = []
    fn = returning("evaluated.append(1) or Money")
    fn.__globals__["evaluated"] = evaluated
    try:
        serdes = serdes_of(fn)
        assert evaluated == []
        assert serdes.deserialize('{"amount": "1.50"}', CTX) == MONEY
        assert evaluated == [1]
    finally:
        del fn.__globals__["evaluated"]


def test_the_input_is_the_first_parameter_after_self() -> None:
    """Functions and bound methods; a partial may have given it away already."""

    async def handler(event: Money, ctx: Any) -> None: ...

    class Handler:
        async def handle(self, event: Money, ctx: Any) -> None: ...

    async def no_parameters() -> None: ...

    for fn in (handler, Handler().handle):
        serdes = input_serdes(fn)
        assert serdes is not None
        assert serdes.deserialize('{"amount": "1.50"}', CTX) == MONEY
    assert input_serdes(functools.partial(handler, MONEY)) is None
    assert input_serdes(no_parameters) is None


def test_an_input_without_tags_is_read_as_it_is() -> None:
    """What comes from outside is plain JSON; a dict that looks like a tag is a dict."""

    async def handler(event: dict[str, Any], ctx: Any) -> None: ...

    serdes = input_serdes(handler)
    assert serdes is not None
    assert serdes.deserialize('{"$uuid": "x"}', CTX) == {"$uuid": "x"}


def test_items_of_a_class_can_be_put_together() -> None:
    """``ItemBatcher`` measures items that only a type could store."""
    order = Order(1, datetime(2026, 3, 1, tzinfo=UTC), [MONEY])  # type: ignore[arg-type]  # any value does
    groups = arguments.groups([order] * 3, ItemBatcher(max_items=2), json_serdes())

    assert [(start, len(items)) for start, items in groups] == [(0, 2), (2, 1)]


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    """Neither importing the SDK nor a handler with annotations loads the converter, or pydantic."""
    program = """
import sys
from dataclasses import dataclass
from durable_trio import durable_execution
from durable_trio._runtime.typed import result_serdes
from durable_trio import json_serdes

@dataclass
class Money:
    cents: int

@durable_execution
async def handler(event: Money, ctx) -> Money:
    return event

def body() -> Money: ...

result_serdes(body, json_serdes())
assert not {"cattrs", "pydantic", "msgspec"} & set(sys.modules)
"""
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", program], check=True, cwd=root, timeout=60)
