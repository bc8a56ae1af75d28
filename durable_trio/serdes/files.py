"""Big payloads in files: what is over a threshold goes to a shared file system, the payload keeps a reference.

The reference is all that the execution stores:

    {"durable_trio_file":1,"sha256":"...","size":1048576,"execution":"arn:...","operation":"1ced...","preview":...}

**No path is ever stored.** Where a payload lies is computed from whose it is and from its digest, all as hexadecimal
digits; so whoever can write payloads cannot make us open anything else. Reading checks the owner (a reference that
was copied from another operation or execution is refused), then the size before reading, then the digest.

**A payload is written before it is referred to**: into a temporary file beside it, forced to disk, then renamed, and
the directory forced to disk. A crash leaves at worst a file that nobody refers to. The name has the digest in it, so
a repeated attempt writes the same file, or another one; never over what somebody reads.

Text that is small stays as it is, unless it begins like a reference; then it goes to a file, too, so that reading
never has to guess.

Files are not deleted by anybody but you: an execution may need them until its retention period is over.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from durable_trio.exceptions import DurableError, RetryableSerDesError, SerDesError, ValidationError
from durable_trio.serdes.base import SerDes
from durable_trio.serdes.preview import preview_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from durable_trio.serdes.base import SerdesContext

_PREFIX: Final = '{"durable_trio_file":'
_VERSION: Final = 1
_DIGEST_DIGITS: Final = 64
_OWNER_DIGITS: Final = 32
_TEMPORARY: Final = ".writing-"

# Trying again cannot help: permissions, a read-only or wrongly mounted file system, names.
_LASTING: Final = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}
    | {errno.ENAMETOOLONG, errno.EINVAL}
)

_SAFELY: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)

Preview = Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class FileReference:
    """What a payload keeps of a file."""

    sha256: str
    size: int
    execution: str
    operation: str
    preview: Any = None

    def encode(self) -> str:
        """Write the reference as the text of a payload."""
        members: dict[str, Any] = {
            "durable_trio_file": _VERSION,
            "sha256": self.sha256,
            "size": self.size,
            "execution": self.execution,
            "operation": self.operation,
        }
        if self.preview is not None:
            members["preview"] = self.preview
        return json.dumps(members, separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> FileReference:
        """Read a reference.

        Raises:
            SerDesError: it is malformed, or of a newer version.
        """
        try:
            wire = json.loads(text)
            version, digest, size = wire["durable_trio_file"], wire["sha256"], wire["size"]
            execution, operation = wire["execution"], wire["operation"]
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise SerDesError(
                f"cannot deserialize: a malformed reference to a file: {text[:80]!r}"
            ) from error
        if version != _VERSION:
            raise SerDesError(
                f"cannot deserialize: a reference of version {version!r:.20}; this durable_trio reads {_VERSION}"
            )
        is_digest = (
            isinstance(digest, str)
            and len(digest) == _DIGEST_DIGITS
            and set(digest) <= set("0123456789abcdef")
        )
        is_size = isinstance(size, int) and not isinstance(size, bool) and size >= 0
        if not (is_digest and is_size and isinstance(execution, str) and isinstance(operation, str)):
            raise SerDesError(f"cannot deserialize: a malformed reference to a file: {text[:80]!r}")
        return cls(digest, size, execution, operation, wire.get("preview"))


class FileOverflow:
    """Stores what is small as it is, and a reference to what is big."""

    __slots__ = ("_directory", "_mask", "_preview", "_serdes", "_threshold_bytes")

    def __init__(
        self,
        serdes: SerDes,
        directory: Path,
        *,
        threshold_bytes: int,
        preview: bool | Preview,
        mask: frozenset[str],
    ) -> None:
        self._serdes = serdes
        self._directory = directory
        self._threshold_bytes = threshold_bytes
        self._preview = preview
        self._mask = mask

    def serialize(self, value: Any, ctx: SerdesContext) -> str:
        """Return the text of *value*, or of a reference to its file."""
        text = self._serdes.serialize(value, ctx)
        data = text.encode()
        if len(data) <= self._threshold_bytes and not text.startswith(_PREFIX):
            return text
        reference = FileReference(
            hashlib.sha256(data).hexdigest(),
            len(data),
            ctx.execution_arn,
            ctx.operation_id,
            self._shown(value),
        )
        try:
            _write(self._directory, self._path(reference), data)
        except OSError as error:
            _raise_for(error, f"cannot store a payload of {len(data):,} bytes under {self._directory}")
        return reference.encode()

    def deserialize(self, text: str, ctx: SerdesContext) -> Any:
        """Return the value of *text*, or of the file it refers to."""
        if not text.startswith(_PREFIX):
            return self._serdes.deserialize(text, ctx)
        reference = FileReference.decode(text)
        if (reference.execution, reference.operation) != (ctx.execution_arn, ctx.operation_id):
            raise SerDesError(
                f"cannot deserialize: this reference to a file belongs to operation {reference.operation[:64]!r} of"
                f" {reference.execution[:200]!r}, not to {ctx.operation_id!r}. Only the operation that stored a file"
                " may read it: pass values, not payloads, between operations and executions"
            )
        return self._serdes.deserialize(self._read(reference), ctx)

    def _read(self, reference: FileReference) -> str:
        path = self._path(reference)
        try:
            data = _read(path, reference.size)
        except OSError as error:
            _raise_for(error, f"cannot read the payload's file {path}")
        if data is None or hashlib.sha256(data).hexdigest() != reference.sha256:
            raise SerDesError(
                f"the payload's file {path} is damaged: its size or its digest is not what was recorded. Restore it"
                " from a backup, or stop the execution"
            )
        return data.decode()

    def _path(self, reference: FileReference) -> Path:
        owner = hashlib.sha256(reference.execution.encode()).hexdigest()[:_OWNER_DIGITS]
        operation = hashlib.sha256(reference.operation.encode()).hexdigest()[:_OWNER_DIGITS]
        return self._directory / owner / f"{operation}-{reference.sha256}"

    def _shown(self, value: Any) -> Any:
        if self._preview is False:
            return None
        if self._preview is True:
            return preview_of(value, self._mask)
        try:
            shown = self._preview(value)
        except DurableError:
            raise
        except Exception as error:
            raise SerDesError(f"preview failed for a {type(value).__qualname__}: {error!r}") from error
        return preview_of(shown, self._mask)

    def __repr__(self) -> str:
        return f"overflow_to_files({self._serdes!r}, {str(self._directory)!r})"


def checked_overflow(
    serdes: SerDes,
    directory: str | os.PathLike[str],
    threshold_bytes: int,
    preview: bool | Preview,
    mask: Iterable[str],
) -> SerDes:
    """Do what ``overflow_to_files`` says."""
    if not isinstance(serdes, SerDes):
        raise ValidationError(
            f"serdes must have the methods serialize and deserialize, and {serdes!r} has not"
        )
    if not isinstance(directory, (str, os.PathLike)) or not os.fspath(directory):
        raise ValidationError(f"directory must be the path of a directory, not {directory!r}")
    if isinstance(threshold_bytes, bool) or not isinstance(threshold_bytes, int) or threshold_bytes < 0:
        raise ValidationError(
            f"threshold_bytes must be a whole number of at least 0, not {threshold_bytes!r}"
        )
    if not isinstance(preview, bool) and not callable(preview):
        raise ValidationError(f"preview must be True, False or a function of the value, not {preview!r}")
    names = [mask] if isinstance(mask, str) else list(mask)
    if not all(isinstance(name, str) for name in names):
        raise ValidationError(f"mask must be names of members, not {mask!r}")
    masked = frozenset(name.lower() for name in names)
    return FileOverflow(
        serdes, Path(directory), threshold_bytes=threshold_bytes, preview=preview, mask=masked
    )


# --- the file system -------------------------------------------------------------------------------------


def _write(directory: Path, path: Path, data: bytes) -> None:
    """Write *data* to *path* so that it is there whole, or not at all."""
    # Not its parents: if the file system is not mounted, the payload must not land on the host's own disk.
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(_TEMPORARY + os.urandom(8).hex())
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    for changed in (path.parent, directory):
        _sync_directory(changed)


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(path: Path, size: int) -> bytes | None:
    """Return the data of the file at *path*; None if what lies there is no file of *size* bytes."""
    # Not through a link, and without waiting for a pipe's other end.
    handle = os.open(path, os.O_RDONLY | _SAFELY)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_size != size:
            return None
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


def _raise_for(error: OSError, what: str) -> NoReturn:
    if error.errno in _LASTING:
        hint = (
            "it is missing; is the file system mounted, and has nobody deleted it?"
            if error.errno == errno.ENOENT
            else "check the permissions and the mount"
        )
        raise SerDesError(f"{what}: {error.strerror}; {hint}") from error
    raise RetryableSerDesError(f"{what}: {error}; the invocation will be retried") from error
