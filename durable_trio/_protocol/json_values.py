"""Python values as JSON text and back: losslessly, or not at all.

Plain JSON is written as plain JSON, so that a person at the console and programs in other languages can read
it. Only what JSON has no form for is *tagged*, as an object with one member whose name begins with ``$``:

    {"at": {"$datetime": "2026-03-01T12:00:00+00:00"}, "id": {"$uuid": "6f1b..."}, "pair": {"$tuple": [1, 2]}}

A user's dict that looks like a tag (one key, which begins with ``$``) gets one more ``$`` in front of its key,
and decoding takes it off again. Everything else is refused with the path to it (``$.orders[3].price``):
subclasses (an enum would come back as its value), NaN and infinities, cycles, lone surrogates, unknown
classes. A value that silently changes on replay would be worse than an error on the first run.

``json.dumps`` alone cannot do that: it turns tuples into lists, keys into text, and subclasses into what they
derive from, without asking. But it is fast. So: ``is_plain`` touches each *container* once in Python and its
members in C; if the value is plain, ``json`` writes it in C. Only other values take the slow walk, which tags,
and which knows the path when it refuses.

Text has non-ASCII characters as they are. Payloads travel inside a JSON string whose encoder escapes them
anyway, and an escape that is escaped again takes a byte more.

These forms are stored by running executions. Treat them as a file format.
"""

from __future__ import annotations

import json
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, NoReturn

from durable_trio._protocol.json_leaves import JsonValueError, TextValue, leaves, read_leaf
from durable_trio._protocol.json_walk import SCALARS, TEXT, Walk, dump, dump_plain, is_plain, segment, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["TYPED_MARK", "JsonValueError", "Tagger", "add_tag", "decode", "encode", "load", "untag"]

TYPED_MARK: Final = "\t \t"
"""Begins text that was written without tags because the reader knows the type: white space, to everybody else."""

_HELP: Final = "use plain values, or give the operation serdes=custom_serdes(...)"


# --- encoding --------------------------------------------------------------------------------------------


def encode(value: object) -> str:
    """Write *value* as JSON text, tagged where JSON has no form.

    Raises:
        JsonValueError: some part cannot be written losslessly; the message begins with the path to it.
    """
    if is_plain(value, tags=True):
        text = dump_plain(value)
        if text is not None:
            return text
    return write(Tagger().value, value)


class Tagger(Walk):
    """Makes a tree of plain values, with tags."""

    __slots__ = ()

    def value(self, value: Any) -> Any:
        kind = type(value)
        if kind in SCALARS:
            return self.scalar(value)
        leaf = leaves().get(kind)
        if leaf is not None:
            return {leaf.tag: self.leaf(leaf, value)}
        write_container = _CONTAINERS.get(kind)
        if write_container is None:
            if isinstance(value, TextValue):
                return str.__str__(value)
            if not hasattr(kind, "__durable_tagged__"):
                self.refuse(_why_not(value))
            write_container = _write_own
        self.enter(value)
        written = write_container(self, value)
        self.leave(value)
        return written

    def write_dict(self, value: dict[Any, Any]) -> Any:
        if not TEXT.issuperset(map(type, value)):
            return self.write_map(value)
        members = {}
        for key, member in value.items():
            place = segment(key)
            members[self.within(place, self.scalar, key)] = self.within(place, self.value, member)
        if len(members) == 1 and (key := next(iter(members))).startswith("$"):
            return {f"${key}": members[key]}
        return members

    def write_map(self, value: dict[Any, Any]) -> Any:
        pairs = []
        for key, member in value.items():
            place = segment(key)
            pairs.append([self.within(place, self.value, key), self.within(place, self.value, member)])
        return {"$map": pairs}

    def write_list(self, value: Iterable[Any]) -> list[Any]:
        members = []
        for index, member in enumerate(value):
            members.append(self.within(f"[{index}]", self.value, member))
        return members

    def write_tuple(self, value: Iterable[Any]) -> Any:
        return {"$tuple": self.write_list(value)}

    def write_set(self, value: Iterable[Any]) -> list[Any]:
        # Sorted, because the order of a set differs from process to process: equal values, equal text.
        return sorted((self.within("{}", self.value, member) for member in value), key=dump)


def _write_set(walk: Tagger, value: Iterable[Any]) -> Any:
    return {"$set": walk.write_set(value)}


def _write_frozenset(walk: Tagger, value: Iterable[Any]) -> Any:
    return {"$frozenset": walk.write_set(value)}


def _write_own(walk: Tagger, value: Any) -> Any:
    """Write an object of ours, which says by itself what is stored of it, and under which tag."""
    try:
        tag, members = value.__durable_tagged__()
    except JsonValueError as error:
        walk.refuse(error)
    return {tag: walk.value(members)}


_CONTAINERS: Final[dict[type, Callable[[Tagger, Any], Any]]] = {
    dict: Tagger.write_dict,
    list: Tagger.write_list,
    tuple: Tagger.write_tuple,
    set: _write_set,
    frozenset: _write_frozenset,
}


def _why_not(value: object) -> str:
    name = type(value).__qualname__
    for base in (bool, int, float, str, dict, list, tuple, set, frozenset, *leaves()):
        if isinstance(value, base):
            return f"{name} is a subclass of {base.__name__} and would come back as one; {_HELP}"
    return f"{name} has no JSON form; {_HELP}"


# --- decoding --------------------------------------------------------------------------------------------


def decode(text: str) -> Any:
    """Read what ``encode`` wrote, or any other JSON text without tags of its own.

    Raises:
        JsonValueError: it is not JSON, has a tag that is unknown or malformed, or was written for a type.
    """
    if isinstance(text, str) and text.startswith(TYPED_MARK):
        raise JsonValueError(
            "this was stored by its type, which the program no longer gives: bring the annotation back, or pass"
            " result_type="
        )
    # A quoted dollar is rare in plain data; without one there is no tag, and nothing to ask Python about.
    has_tags = isinstance(text, str) and ('"$' in text or r"\u0024" in text)
    return _load(_TAG_READER if has_tags else _READER, text)


def load(text: str) -> Any:
    """Read JSON text as it is, tags or not; raises like ``decode``."""
    return _load(_READER, text)


def _load(reader: json.JSONDecoder, text: str) -> Any:
    if not isinstance(text, str):
        raise JsonValueError(f"JSON is read from text, not from {type(text).__name__}")
    try:
        # What ``decode`` does, without asking for the white space around it twice.
        bare = text.strip(" \t\n\r")
        value, end = reader.raw_decode(bare)
        return value if end == len(bare) else reader.decode(text)
    except JsonValueError:
        raise
    except RecursionError as error:
        raise JsonValueError("the JSON text is nested too deeply") from error
    except ValueError as error:  # malformed, or an integer over Python's digit limit
        raise JsonValueError(f"this is not JSON: {error}; it begins with {text[:80]!r}") from error


def _refuse_constant(name: str) -> NoReturn:
    raise JsonValueError(f"{name} is not JSON")


def untag(members: dict[str, Any]) -> Any:
    """Return what an object stands for if it is a tag; else the object itself.

    Raises:
        JsonValueError: the tag is unknown, or holds what it cannot.
    """
    if len(members) != 1:
        return members
    key, value = next(iter(members.items()))
    if not key.startswith("$"):
        return members
    if key.startswith("$$"):
        return {key[1:]: value}
    read = _tags().get(key) or _own_tags.get(key)
    if read is None:
        raise JsonValueError(f"unknown tag {key!r}: written by a newer version, or not by durable_trio")
    return read(value)


def _container(tag: str, build: Callable[[list[Any]], Any]) -> Callable[[Any], Any]:
    def read(members: Any) -> Any:
        if type(members) is not list:
            raise JsonValueError(f"{tag} must hold a list, not {type(members).__name__}")
        try:
            built = build(members)
        except (TypeError, ValueError) as error:  # an unhashable member, or not a pair
            raise JsonValueError(f"{tag} holds what it cannot: {error}") from error
        if len(built) != len(members):
            raise JsonValueError(f"{tag} holds a member twice")
        return built

    return read


def _pairs(members: list[Any]) -> dict[Any, Any]:
    if not all(type(pair) is list for pair in members):
        raise ValueError("not a list of [key, value]")
    return dict(members)


_own_tags: dict[str, Callable[[Any], Any]] = {}


def add_tag(tag: str, read: Callable[[Any], Any]) -> None:
    """Have *read* make what stands under *tag*: objects of the layers above. It raises ``JsonValueError``."""
    _own_tags[tag] = read


@cache
def _tags() -> Mapping[str, Callable[[Any], Any]]:
    return {
        "$tuple": _container("$tuple", tuple),
        "$set": _container("$set", set),
        "$frozenset": _container("$frozenset", frozenset),
        "$map": _container("$map", _pairs),
        **{leaf.tag: partial(read_leaf, leaf) for leaf in leaves().values()},
    }


_READER: Final = json.JSONDecoder(parse_constant=_refuse_constant)
_TAG_READER: Final = json.JSONDecoder(parse_constant=_refuse_constant, object_hook=untag)
