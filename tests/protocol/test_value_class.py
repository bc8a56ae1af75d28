"""A value class is told from a dataclass by nothing but what it costs."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
from typing import Any, ClassVar, Generic, TypeVar, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_trio._protocol.value_class import dataclass, frozen_dataclass, replace

T = TypeVar("T")
HIDDEN = dataclasses.field(default=7, repr=False, compare=False)


def declare(decorate: Any) -> dict[str, type[Any]]:
    """Return the classes that are compared, each made by *decorate*."""

    @decorate(frozen=True, slots=True)
    class Empty:
        """Nothing."""

    @decorate(frozen=True, slots=True)
    class One:
        """One field, without a default."""

        a: Any

    @decorate(frozen=True, slots=True)
    class Some:
        """Fields with and without defaults, a constant, a method, a property."""

        a: Any
        b: Any
        c: Any = "c"
        d: int | None = None
        LIMIT: ClassVar[int] = 3

        @property
        def both(self) -> Any:
            return (self.a, self.b)

        @classmethod
        def made(cls) -> Any:
            return cls(1, 2)  # type: ignore[call-arg]

    @decorate(frozen=True, slots=True)
    class Checked:
        """Refuses some values."""

        a: Any = 1

        def __post_init__(self) -> None:
            if self.a is None:
                raise ValueError("a must not be None")

    @decorate(frozen=True, slots=True, kw_only=True)
    class Keywords:
        """By keyword only; what has a default may come first."""

        a: Any = 1
        b: Any
        c: Any = dataclasses.field(default=7, repr=False, compare=False)

    @decorate(frozen=True, slots=True)
    class Box(Generic[T]):
        """Generic."""

        a: T
        b: T | None = None

    @decorate(frozen=True, slots=True)
    class Own:
        """With special methods of its own."""

        a: Any
        b: Any = 0

        def __eq__(self, other: object) -> bool:
            return isinstance(other, type(self)) and bool(self.a == other.a)

        def __hash__(self) -> int:
            return hash(self.a)

        def __repr__(self) -> str:
            return f"<Own {self.a}>"

    classes = (Empty, One, Some, Checked, Keywords, Box, Own)
    return {cls.__name__: cls for cls in classes}


STANDARD = declare(dataclasses.dataclass)
FROZEN = declare(frozen_dataclass)
QUICK = declare(dataclass)
NAMES = sorted(STANDARD)
KINDS = pytest.mark.parametrize("classes", [FROZEN, QUICK], ids=["frozen", "quick"])

VALUES = st.sampled_from([None, 0, 1, True, "c", "", (1, 2), 2.5])
POSITIONAL = st.lists(VALUES, max_size=5)
BY_NAME = st.dictionaries(st.sampled_from(["a", "b", "c", "d", "e"]), VALUES, max_size=4)


def outcome(call: Any, *args: Any, **kwargs: Any) -> tuple[Any, str]:
    """Return the type and the text of what a call gives or raises."""
    try:
        value = call(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - whatever it is
        return type(error), str(error)
    return type(value).__name__, repr(value)


@KINDS
@given(name=st.sampled_from(NAMES), args=POSITIONAL, kwargs=BY_NAME)
def test_making_an_instance_does_the_same(
    classes: dict[str, type[Any]], name: str, args: list[Any], kwargs: dict[str, Any]
) -> None:
    """The same arguments make the same value, or the same error with the same words."""
    assert outcome(classes[name], *args, **kwargs) == outcome(STANDARD[name], *args, **kwargs)


def instances(classes: dict[str, type[Any]]) -> list[Any]:
    """Return an instance of each class, and a few more."""
    return [
        classes["Empty"](),
        classes["One"](float("nan")),
        classes["One"]("c"),
        classes["Some"](1, 2),
        classes["Some"](1, b=[2], d=5),
        classes["Checked"](),
        classes["Keywords"](b=(1, 2)),
        classes["Keywords"](b=(1, 2), c=8),
        classes["Box"](1),
        classes["Own"](1, 2),
        classes["Own"](1, 3),
    ]


@KINDS
def test_values_compare_hash_and_show_themselves_alike(classes: dict[str, type[Any]]) -> None:
    """Equality of any two, hashes within a class, and texts, are those of dataclasses."""
    ours, theirs = instances(classes), instances(STANDARD)
    for first, theirs_first in zip(ours, theirs, strict=True):
        assert repr(first) == repr(theirs_first)
        assert outcome(hash, first)[0] == outcome(hash, theirs_first)[0]
        for second, theirs_second in zip(ours, theirs, strict=True):
            assert (first == second) is (theirs_first == theirs_second), (first, second)
            if first == second and outcome(hash, first)[0] == "int":
                assert hash(first) == hash(second)
        assert first != theirs_first or type(first).__name__ == "Own"
        assert first.__eq__(object()) in (NotImplemented, False)


@KINDS
def test_functions_of_dataclasses_work(classes: dict[str, type[Any]]) -> None:
    """``fields``, ``is_dataclass``, ``asdict``, ``astuple``, ``replace``, for classes and instances."""
    for ours, theirs in zip(instances(classes), instances(STANDARD), strict=True):
        assert dataclasses.is_dataclass(type(ours))
        assert [
            (f.name, f.type, f.default, f.repr, f.compare, f.kw_only) for f in dataclasses.fields(ours)
        ] == [(f.name, f.type, f.default, f.repr, f.compare, f.kw_only) for f in dataclasses.fields(theirs)]
        assert repr(dataclasses.asdict(ours)) == repr(dataclasses.asdict(theirs))
        assert repr(dataclasses.astuple(ours)) == repr(dataclasses.astuple(theirs))
        assert outcome(dataclasses.replace, ours, a=5) == outcome(dataclasses.replace, theirs, a=5)
        assert outcome(dataclasses.replace, ours, e=5)[0] is outcome(dataclasses.replace, theirs, e=5)[0]
        assert outcome(replace, ours, a=5) == outcome(dataclasses.replace, theirs, a=5)
        assert outcome(replace, ours, e=5)[0] is outcome(dataclasses.replace, theirs, e=5)[0]
        assert type(ours).__dataclass_params__.frozen is True
        if sys.version_info >= (3, 13):
            assert outcome(copy.replace, ours, a=5) == outcome(copy.replace, theirs, a=5)


@KINDS
@pytest.mark.parametrize("name", NAMES)
def test_a_class_is_described_alike(classes: dict[str, type[Any]], name: str) -> None:
    """Signature, slots, match arguments, annotations, names, docstring."""
    ours, theirs = classes[name], STANDARD[name]

    assert inspect.signature(ours) == inspect.signature(theirs)
    assert ours.__slots__ == theirs.__slots__
    assert ours.__match_args__ == theirs.__match_args__
    assert ours.__annotations__ == theirs.__annotations__
    assert get_type_hints(ours.__init__, localns={"T": T}) == get_type_hints(
        theirs.__init__, localns={"T": T}
    )
    assert (ours.__name__, ours.__qualname__, ours.__module__, ours.__doc__) == (
        theirs.__name__,
        theirs.__qualname__,
        theirs.__module__,
        theirs.__doc__,
    )
    assert ours.__init__.__qualname__ == theirs.__init__.__qualname__
    assert not hasattr(ours(**dict.fromkeys(inspect.signature(ours).parameters, 1)), "__dict__")


@KINDS
def test_values_are_matched_by_position_and_name(classes: dict[str, type[Any]]) -> None:
    """As in ``case Some(1, b, d=None)``."""
    some = classes["Some"]
    match some(1, 2):
        case some(1, b, c, d=None):  # pyright: ignore[reportGeneralTypeIssues]
            assert (b, c) == (2, "c")
        case _:
            pytest.fail("it did not match")


@frozen_dataclass(frozen=True, slots=True)
class Frozen:
    """Pickle finds it by its name."""

    a: Any
    b: Any = None


@dataclass(frozen=True, slots=True)
class Quick:
    """Pickle finds it by its name."""

    a: Any
    b: Any = None


@pytest.mark.parametrize("cls", [Frozen, Quick])
@given(a=VALUES, b=VALUES)
def test_values_are_pickled_and_copied(cls: type[Any], a: Any, b: Any) -> None:
    """By every protocol; a deep copy has copies of what is inside."""
    value = cls(a, b)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(value, protocol)) == value
    assert copy.copy(value) == value

    inner = [a]
    copied = copy.deepcopy(cls(inner))
    assert copied.a == inner
    assert copied.a is not inner


@pytest.mark.parametrize("name", ["a", "b", "new"])
def test_a_frozen_value_refuses_assignment_with_the_words_of_a_dataclass(name: str) -> None:
    """Of its fields and of anything else; and deletion."""
    ours, theirs = FROZEN["Some"](1, 2), STANDARD["Some"](1, 2)

    assert outcome(setattr, ours, name, 5)[0] is dataclasses.FrozenInstanceError
    if name != "new":  # before Python 3.12 a dataclass with slots has an error of its own there
        assert outcome(setattr, ours, name, 5) == outcome(setattr, theirs, name, 5)
        assert outcome(delattr, ours, name) == outcome(delattr, theirs, name)
    assert (ours.a, ours.b) == (1, 2)


@KINDS
def test_a_subclass_may_add_attributes_of_its_own(classes: dict[str, type[Any]]) -> None:
    """As with dataclasses, the fields stay frozen, and ``super().__init__`` works, called first or not."""

    class More(classes["Checked"]):  # type: ignore[misc,name-defined,valid-type]
        def __init__(self, a: Any) -> None:
            super().__init__(a)
            self.more = a

    assert (More(3).a, More(3).more) == (3, 3)
    assert More(3) == More(3) != classes["Checked"](3)
    if classes is FROZEN:
        with pytest.raises(dataclasses.FrozenInstanceError):
            More(3).a = 4


def test_a_generic_value_is_made_through_its_alias() -> None:
    """``Box[int](1)``, which a frozen dataclass with slots cannot do before Python 3.12."""
    box: Any = FROZEN["Box"]

    assert box[int](1) == box(1)


def test_a_value_that_holds_itself_has_a_repr() -> None:
    """The recursion is cut, as a dataclass cuts it."""
    inner: list[Any] = []
    value = Frozen(inner)
    inner.append(value)

    assert repr(value) == "Frozen(a=[...], b=None)"


@pytest.mark.parametrize("decorate", [dataclass, frozen_dataclass])
def test_what_is_not_supported_is_refused_when_the_class_is_made(decorate: Any) -> None:
    """Other options, inherited fields, factories, shared lists, a required field after an optional one."""
    with pytest.raises(TypeError, match="a value class is frozen and has slots"):
        decorate(frozen=True, slots=False)
    with pytest.raises(TypeError, match="inherits fields"):
        decorate(frozen=True, slots=True)(type("Sub", (Quick,), {"__annotations__": {}}))

    class Wrong:
        a: int = 1
        b: int

    with pytest.raises(TypeError, match="a field without a default follows"):
        decorate(frozen=True, slots=True)(Wrong)

    class Factory:
        a: Any = dataclasses.field(default_factory=list)

    with pytest.raises(TypeError, match="needs a default, and no factory"):
        decorate(frozen=True, slots=True)(Factory)

    class Shared:
        a: Any = []  # noqa: RUF012 - the mistake

    with pytest.raises(ValueError, match="would be shared"):
        decorate(frozen=True, slots=True)(Shared)


def test_nothing_is_compiled_before_it_is_needed() -> None:
    """Loading the SDK neither compiles an ``__init__`` of a value that nobody made, nor makes a dataclass of it."""
    code = (
        "from durable_trio import MapConfig, InvokeConfig\n"
        "print(type(vars(MapConfig)['__init__']).__name__, type(vars(MapConfig)['__dataclass_fields__']).__name__)\n"
        "MapConfig(); MapConfig()\n"
        "print(type(vars(MapConfig)['__init__']).__name__, type(vars(InvokeConfig)['__init__']).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["_OnFirstUse", "_OnFirstUse", "function", "_OnFirstUse"]
