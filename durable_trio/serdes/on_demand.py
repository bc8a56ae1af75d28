"""Serializers that are loaded when they are first asked for: most programs store JSON and never do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from durable_trio.serdes.base import SerDes, SerdesContext


def cbor_serdes() -> SerDes:
    """Return the serializer that stores CBOR in base64: lossless for the same values as ``json_serdes()``.

    Needs the package ``cbor2``, which is imported when something is first stored or read. Its methods raise
    ``SerDesError`` for what it cannot store, with the path, and for text that it has not written;
    ``ConfigurationError`` without the package.
    """
    from durable_trio.serdes.cbor import CBOR

    return CBOR


def aws_python_serdes() -> SerDes:
    """Return the serializer that stores values as AWS's Python SDK (core 3.0.0) does, and reads what it stored.

    Takes None, bool, int, finite float, str, bytes, ``UUID``, ``Decimal``, ``datetime``, ``date``, tuple, list, dict
    with text keys, and ``BatchResult``, nested up to 100 levels. A ``ZoneInfo`` comes back as the offset it had. For
    executions that both SDKs work on, and for moving from one to the other while executions run; otherwise
    the default is more readable, and takes more.

    Its methods raise ``SerDesError``, with the path, for what AWS's SDK has no form for or would change.
    """
    from durable_trio.serdes.aws_python import AWS_PYTHON

    return AWS_PYTHON


def overflow_to_files(
    serdes: SerDes,
    directory: str | os.PathLike[str],
    *,
    threshold_bytes: int = 200_000,
    preview: bool | Callable[[Any], object] = False,
    mask: Iterable[str] = (),
) -> SerDes:
    """Return a serializer that stores what *serdes* writes in a file if it is big, and a reference in the payload.

    Writing and reading block, as serializers do: use a file system that is near (EFS, an S3 Files mount). Files are
    yours to delete, when the executions that wrote them are past their retention. Use it for operations; a handler's
    result is read by others, who see the reference only.

    Args:
        serdes: writes the text; stages that compress or encrypt belong in here.
        directory: where the files go; must exist on every host that runs the execution.
        threshold_bytes: text of more UTF-8 bytes than this goes to a file.
        preview: what a reference shows of the value: nothing (False, the default), the value itself, cut short
            (True), or what this function makes of it. It is stored in the clear, whatever *serdes* does.
        mask: names of members (of dicts, dataclasses, named tuples; in any case) that a preview shows as ``***``.

    Its methods raise ``SerDesError`` for a file that is missing, damaged or another operation's, and for lasting
    trouble such as missing permissions; ``RetryableSerDesError`` for other trouble of the file system.

    Raises:
        ValidationError: an argument is not what it should be.
    """
    from durable_trio.serdes.files import checked_overflow

    return checked_overflow(serdes, directory, threshold_bytes, preview, mask)


# --- stages ----------------------------------------------------------------------------------------------


@runtime_checkable
class Stage(Protocol):
    """A pair of functions on bytes, each undoing the other.

    Both raise ``SerDesError`` for what they cannot do, ``RetryableSerDesError`` for passing trouble.
    """

    def encode(self, data: bytes, ctx: SerdesContext) -> bytes:
        """Return *data* as it is to be stored."""
        ...

    def decode(self, data: bytes, ctx: SerdesContext) -> bytes:
        """Return what ``encode`` was given."""
        ...


def staged(serdes: SerDes, *stages: Stage) -> SerDes:
    """Return a serializer that stores what *serdes* writes after it went through *stages*, in order.

    Raises:
        ValidationError: no stages, or one of the arguments is not what it should be.
    """
    from durable_trio.serdes.stages import checked_staged

    return checked_staged(serdes, stages)


def compression_stage(*, level: int = 6, max_bytes: int = 64 * 1024 * 1024) -> Stage:
    """Return the stage that compresses with zlib.

    Args:
        level: 0 (not at all) to 9 (smallest, slowest).
        max_bytes: the most that a payload may unpack to, 64 MiB by default; more is refused, on the way in and on
            the way out, without being unpacked.

    Raises:
        ValidationError: an argument is out of range.
    """
    from durable_trio.serdes.stages import checked_compression

    return checked_compression(level, max_bytes)


def encryption_stage(encrypt: Callable[..., bytes], decrypt: Callable[..., bytes]) -> Stage:
    """Return the stage that encrypts with your functions, for example of a KMS data key.

    Each takes the bytes, or the bytes and the ``SerdesContext``; its ``execution_arn`` and ``operation_id`` are
    good associated data, which keeps a payload from being passed off as another's. What they raise becomes a
    ``SerDesError`` that does not quote it; raise ``RetryableSerDesError`` for trouble that passes.

    Raises:
        ValidationError: one of them is not a plain function of one or two arguments.
    """
    from durable_trio.serdes.stages import checked_encryption

    return checked_encryption(encrypt, decrypt)
