"""CBOR: a smaller, binary form of what the default serializer stores.

The tree is that of the tagged JSON (``_protocol/json_values.py``), but for bytes, which CBOR has itself. So it takes
and refuses the same values, and no CBOR tags are needed: a reader of CBOR acts on tags, and stored data must not
make anybody act. What is read is checked for that first (``_protocol/cbor_scan.py``).

Payloads are text, so the bytes are written in base64, a third longer. It pays for bytes and for numbers; for text
the default is as short, readable, and faster to read, since the check costs about a microsecond per item.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from durable_trio._protocol.cbor_scan import CborError, check_cbor
from durable_trio._protocol.json_leaves import JsonValueError
from durable_trio._protocol.json_values import Tagger, untag
from durable_trio._protocol.json_walk import dump_plain, is_plain
from durable_trio.exceptions import ConfigurationError, SerDesError

if TYPE_CHECKING:
    from durable_trio.serdes.base import SerdesContext


class _Tree(Tagger):
    """Makes a tree of what CBOR has a form for."""

    __slots__ = ()

    def value(self, value: Any) -> Any:
        return value if type(value) is bytes else super().value(value)


class _Cbor:
    __slots__ = ()

    def serialize(self, value: Any, ctx: SerdesContext) -> str:
        cbor2 = _cbor2()
        try:
            # JSON's own writer is the fastest way to learn that nothing in a plain value has to be refused.
            is_checked = is_plain(value, tags=True) and dump_plain(value) is not None
            data: bytes = cbor2.dumps(value if is_checked else _Tree().value(value))
        except JsonValueError as error:
            raise SerDesError(f"cannot serialize {error}") from error
        except RecursionError as error:
            raise SerDesError(
                "cannot serialize $: nested too deeply for what is left of the stack"
            ) from error
        return base64.b64encode(data).decode("ascii")

    def deserialize(self, text: str, ctx: SerdesContext) -> Any:
        cbor2 = _cbor2()
        try:
            data = base64.b64decode(text, validate=True)
            check_cbor(data)
            return _untagged(cbor2.loads(data))
        except (ValueError, TypeError, RecursionError, cbor2.CBORError) as error:
            # CborError, JsonValueError, broken base64, text that is not UTF-8, a key that is a list
            raise SerDesError(
                f"cannot deserialize: this is not what cbor_serdes() writes: {error}; was it stored by another"
                f" serdes? It begins with {text[:80]!r}"
            ) from error

    def __repr__(self) -> str:
        return "cbor_serdes()"


def _cbor2() -> Any:
    try:
        import cbor2  # not needed by programs that store JSON
    except ImportError as error:
        raise ConfigurationError(
            "cbor_serdes() needs the package cbor2: install it (pip install cbor2)"
        ) from error
    return cbor2


def _untagged(tree: Any) -> Any:
    if type(tree) is list:
        return [_untagged(member) for member in tree]
    if type(tree) is not dict:
        return tree
    for key in tree:
        if type(key) is not str:
            raise CborError(f"a map with a key of type {type(key).__qualname__}")
    return untag({key: _untagged(member) for key, member in tree.items()})


CBOR: Final = _Cbor()
"""What ``cbor_serdes()`` returns."""
