"""Whose code a frame is: the user's, or a library's.

What a rule says about the user's program is said about the user's own lines. A line is the user's if its file is
neither in the standard library, nor where packages are installed, nor in this package. A program under test may be
installed itself (tox does that): the package that a handler is from is the user's wherever it is
(``count_as_users``). Both the sentinel and the replay of histories point at the nearest such line.
"""

from __future__ import annotations

import functools
import linecache
import os
import site
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import durable_trio

if TYPE_CHECKING:
    from types import FrameType

PACKAGE: Final = str(Path(durable_trio.__file__).parent) + os.sep


@dataclass(frozen=True, slots=True, order=True)
class SourceLine:
    """A line of the user's code.

    Attributes:
        filename: its file.
        number: its number in it, from 1.
        function: the name of the function it is in.
    """

    filename: str
    number: int
    function: str

    @property
    def text(self) -> str:
        """The line itself, without white space around it; empty if the file cannot be read."""
        return linecache.getline(self.filename, self.number).strip()

    def __str__(self) -> str:
        text = self.text
        where = f"{self.filename}:{self.number} in {self.function}"
        return f"{where}: {text}" if text else where


def _library_folders() -> tuple[str, ...]:
    folders = {
        path
        for key, path in sysconfig.get_paths().items()
        if key in {"stdlib", "platstdlib", "purelib", "platlib"}
    }
    folders.update(site.getsitepackages())
    folders.add(site.getusersitepackages())
    # The standard library's own files name the folder that it was found in, which may be behind a link.
    folders.add(str(Path(os.__file__).parent))
    folders.update([str(Path(folder).resolve()) for folder in folders])
    return tuple(folder.rstrip(os.sep) + os.sep for folder in folders)


_LIBRARIES: Final = _library_folders()


@functools.cache
def is_users_file(filename: str) -> bool:
    """Tell whether code from *filename* is the user's. Code without a file (``exec``, a doctest) is."""
    if filename.startswith("<frozen "):
        return False
    if filename.startswith(PACKAGE):
        return False
    return filename.startswith(tuple(_installed)) or not filename.startswith(_LIBRARIES)


_installed: Final[set[str]] = set()
"""Where the packages of handlers are, if they are installed."""


def count_as_users(handler: object) -> bool:
    """Count the code of the package that *handler* is from as the user's; return whether that is news."""
    function = getattr(handler, "fn", handler)
    code = getattr(function, "__code__", None)
    if code is None or is_users_file(code.co_filename) or code.co_filename.startswith(PACKAGE):
        return False
    package = sys.modules.get(function.__module__.partition(".")[0])
    folders = [str(folder).rstrip(os.sep) + os.sep for folder in getattr(package, "__path__", ())]
    _installed.update(folders or [code.co_filename])
    is_users_file.cache_clear()
    return True


def line_of(frame: FrameType) -> SourceLine:
    """Return the line that *frame* is at."""
    return SourceLine(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname)


def nearest_users_line(frame: FrameType | None, *, up_to: str | None = None) -> SourceLine | None:
    """Return the nearest line of the user's on the stack, from *frame* outwards; None if there is none.

    Code without a file is passed over if there is a line with one further out. The search ends at code of the file
    *up_to*.
    """
    without_file: SourceLine | None = None
    while frame is not None:
        filename = frame.f_code.co_filename
        if filename == up_to:
            break
        if is_users_file(filename):
            if not filename.startswith("<"):
                return line_of(frame)
            without_file = without_file or line_of(frame)
        elif without_file is not None and filename.startswith(PACKAGE):
            return without_file
        frame = frame.f_back
    return without_file
