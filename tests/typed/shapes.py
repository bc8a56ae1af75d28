"""The user's types that the tests of typed payloads are about."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Generic, Literal, NamedTuple, NewType, NotRequired, TypedDict, TypeVar
from uuid import UUID

import attrs
import pydantic
import typing_extensions

T = TypeVar("T")
OrderNumber = NewType("OrderNumber", str)


class Color(enum.Enum):
    """An enum whose values are not all text."""

    RED = "red"
    BLUE = 2
    MIXED = (1, "x")


class Size(enum.StrEnum):
    """An enum of text."""

    SMALL = "s"
    LARGE = "l"


class Rights(enum.IntFlag):
    """Flags, which combine."""

    READ = 1
    WRITE = 2


@dataclass(frozen=True)
class Money:
    """An amount."""

    amount: Decimal
    currency: str = "EUR"


@dataclass
class Order:
    """What most workflows are about."""

    id: UUID
    at: datetime
    lines: list[Money]
    extra: dict[str, Any] = field(default_factory=dict)
    color: Color | None = None


@dataclass
class RushOrder(Order):
    """An order of a narrower class."""

    hours: int = 1


@dataclass
class Paid:
    """One of two that a field tells apart."""

    receipt: str
    by: Literal["card"] = "card"


@dataclass
class Refused:
    """The other one."""

    reason: str


@dataclass
class Tree:
    """A class that contains itself."""

    value: int
    below: list[Tree] = field(default_factory=list)


@dataclass
class Page(Generic[T]):
    """A generic class."""

    items: list[T]
    next: T | None = None


@dataclass
class Counted:
    """A class with a field that its constructor does not take."""

    start: int
    seen: int = field(default=0, init=False)


class Line(NamedTuple):
    """A named tuple."""

    pieces: int
    until: date = date(2030, 1, 1)


class Visit(TypedDict):
    """A dict with known keys."""

    at: datetime
    count: NotRequired[int]


class Stay(typing_extensions.TypedDict):
    """A dict with known keys, by the class that older Pythons need for pydantic."""

    since: date


MaybeStay = typing_extensions.TypeAliasType("MaybeStay", Stay | None)


@attrs.define
class Parcel:
    """An attrs class."""

    price: Money
    grams: int = 0


class Person(pydantic.BaseModel):
    """A model of pydantic's."""

    name: str
    born: date
    scores: dict[UUID, int] = {}


@dataclass
class Team:
    """A dataclass with a model in it."""

    lead: Person
