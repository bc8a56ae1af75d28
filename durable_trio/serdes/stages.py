"""Stages: what happens to the text of a payload before it is stored, and is undone when it is read.

``staged(serdes, first, second)`` writes with *serdes*, then applies the stages in order; reading undoes them in
reverse. Stages work on bytes; the last one's bytes are stored in base64. Compress before encrypting: what is
encrypted has no pattern left to compress.
"""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Any

from durable_trio.exceptions import DurableError, SerDesError, ValidationError
from durable_trio.serdes.base import SerDes, type_name
from durable_trio.serdes.custom import with_context
from durable_trio.serdes.on_demand import Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio.serdes.base import SerdesContext


class _Staged:
    __slots__ = ("_serdes", "_stages")

    def __init__(self, serdes: SerDes, stages: tuple[Stage, ...]) -> None:
        self._serdes = serdes
        self._stages = stages

    def serialize(self, value: Any, ctx: SerdesContext) -> str:
        data = self._serdes.serialize(value, ctx).encode()
        for stage in self._stages:
            data = _bytes_of(stage, stage.encode(data, ctx))
        return base64.b64encode(data).decode("ascii")

    def deserialize(self, text: str, ctx: SerdesContext) -> Any:
        try:
            data = base64.b64decode(text, validate=True)
        except ValueError as error:
            raise SerDesError(
                f"cannot deserialize: {text[:80]!r} is not base64, so {self!r} has not written it; was it stored by"
                " another serdes?"
            ) from error
        for stage in reversed(self._stages):
            data = _bytes_of(stage, stage.decode(data, ctx))
        try:
            inner = data.decode()
        except UnicodeDecodeError as error:
            raise SerDesError(
                f"cannot deserialize: the stages of {self!r} brought back no text: {error}"
            ) from error
        return self._serdes.deserialize(inner, ctx)

    def __repr__(self) -> str:
        return f"staged({', '.join(map(repr, (self._serdes, *self._stages)))})"


def checked_staged(serdes: SerDes, stages: tuple[Stage, ...]) -> SerDes:
    """Do what ``staged`` says."""
    if not isinstance(serdes, SerDes):
        raise ValidationError(
            f"serdes must have the methods serialize and deserialize, and {serdes!r} has not"
        )
    if not stages:
        raise ValidationError("staged(serdes, ...) needs at least one stage, such as compression_stage()")
    for stage in stages:
        if not isinstance(stage, Stage) or isinstance(stage, type):
            raise ValidationError(f"a stage must have the methods encode and decode, and {stage!r} has not")
    return _Staged(serdes, stages)


def _bytes_of(stage: Stage, data: object) -> bytes:
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise SerDesError(f"a stage must return bytes, but {stage!r} returned {type_name(data)}")
    return bytes(data)


# --- compression -----------------------------------------------------------------------------------------


class _Compression:
    __slots__ = ("_level", "_max_bytes")

    def __init__(self, level: int, max_bytes: int) -> None:
        self._level = level
        self._max_bytes = max_bytes

    def encode(self, data: bytes, ctx: SerdesContext) -> bytes:
        if len(data) > self._max_bytes:
            raise SerDesError(
                f"a payload of {len(data):,} bytes is over max_bytes={self._max_bytes:,} of {self!r}: it could not be"
                " read back. Return less, or raise max_bytes"
            )
        return zlib.compress(data, self._level)

    def decode(self, data: bytes, ctx: SerdesContext) -> bytes:
        unpack = zlib.decompressobj()
        try:
            unpacked = unpack.decompress(data, self._max_bytes + 1)
        except zlib.error as error:
            raise SerDesError(
                f"cannot deserialize: the payload is not compressed, or damaged ({error}); was it stored by another"
                " serdes?"
            ) from error
        if len(unpacked) > self._max_bytes:
            raise SerDesError(
                f"cannot deserialize: the payload unpacks to more than max_bytes={self._max_bytes:,} of {self!r}"
            )
        if not unpack.eof or unpack.unused_data:
            raise SerDesError(
                "cannot deserialize: the compressed payload is cut short, or has something behind it"
            )
        return unpacked

    def __repr__(self) -> str:
        return f"compression_stage(level={self._level}, max_bytes={self._max_bytes})"


def checked_compression(level: int, max_bytes: int) -> Stage:
    """Do what ``compression_stage`` says."""
    _check_integer("level", level, 0, 9)
    _check_integer("max_bytes", max_bytes, 1, 2**31)
    return _Compression(level, max_bytes)


def _check_integer(argument: str, value: object, at_least: int, at_most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not at_least <= value <= at_most:
        raise ValidationError(
            f"{argument} must be a whole number from {at_least} to {at_most:,}, not {value!r}"
        )


# --- encryption ------------------------------------------------------------------------------------------


class _Encryption:
    __slots__ = ("_decrypt", "_encrypt")

    def __init__(
        self,
        encrypt: Callable[[bytes, SerdesContext], bytes],
        decrypt: Callable[[bytes, SerdesContext], bytes],
    ) -> None:
        self._encrypt = encrypt
        self._decrypt = decrypt

    def encode(self, data: bytes, ctx: SerdesContext) -> bytes:
        return self._call("encrypt", self._encrypt, data, ctx)

    def decode(self, data: bytes, ctx: SerdesContext) -> bytes:
        return self._call("decrypt", self._decrypt, data, ctx)

    def _call(
        self, verb: str, function: Callable[[bytes, SerdesContext], bytes], data: bytes, ctx: SerdesContext
    ) -> bytes:
        try:
            return function(data, ctx)
        except DurableError:
            raise
        except Exception as error:
            # Neither the data nor a repr of the error: it may quote what must not be stored in the clear.
            raise SerDesError(
                f"cannot {verb} a payload: the {verb} function raised {type_name(error)}. Raise RetryableSerDesError"
                " in it for trouble that passes"
            ) from error

    def __repr__(self) -> str:
        return "encryption_stage(...)"


def checked_encryption(encrypt: Callable[..., bytes], decrypt: Callable[..., bytes]) -> Stage:
    """Do what ``encryption_stage`` says."""
    return _Encryption(with_context("encrypt", encrypt), with_context("decrypt", decrypt))
