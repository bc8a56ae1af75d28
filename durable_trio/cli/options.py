"""Options that several commands have, and how a command reaches the database."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
import trio

from durable_trio.cli.errors import NotFoundError, UserError
from durable_trio.cli.json_text import compact_json
from durable_trio.local import open_local_service

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio.local import LocalService

T = TypeVar("T")
CommandT = TypeVar("CommandT", bound="Callable[..., Any]")

DEFAULT_DATABASE: Final = "durable-trio.sqlite"
_PROGRAM: Final = "durable-trio"
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def database_option(command: CommandT) -> CommandT:
    """Add ``--db`` to *command*, as the argument ``db``."""
    return click.option(
        "--db",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar="DURABLE_TRIO_DB",
        default=DEFAULT_DATABASE,
        show_default=True,
        show_envvar=True,
        help="The file that holds the executions.",
    )(command)


def json_option(command: CommandT) -> CommandT:
    """Add ``--json`` to *command*, as the argument ``as_json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document on stdout, all else on stderr."
    )(command)


def error_options(command: CommandT) -> CommandT:
    """Add ``--error-type`` and ``--error-message`` to *command*."""
    command = click.option(
        "--error-type", metavar="TYPE", help="The error's type, for the handler to tell by."
    )(command)
    return click.option("--error-message", metavar="TEXT", help="What went wrong.")(command)


def in_service(db: Path, function: Callable[[LocalService], Awaitable[T]]) -> T:
    """Open the database, do *function* with it, and close it again.

    Raises:
        NotFoundError: there is no database; a command that only looks must not make one.
    """
    if not db.exists():
        raise NotFoundError(f"there is no database {db}; name one with --db or DURABLE_TRIO_DB")

    async def main() -> T:
        async with open_local_service(db) as service:
            return await function(service)

    return trio.run(main)


def parse_seconds(text: str, option: str) -> int:
    """Read a span of time with its unit: ``90s``, ``15m``, ``2h``, ``1d``.

    Raises:
        UserError: it has no unit, or is not a whole number of them.
    """
    match = re.fullmatch(r"(\d{1,9})([smhd])", text)
    if match is None or int(match[1]) == 0:
        raise UserError(f"{option} must be a whole number with a unit, like 90s, 15m, 2h or 1d, not {text!r}")
    return int(match[1]) * _UNITS[match[2]]


def read_payload(input_path: str | None, input_json: str | None) -> str | None:
    """Return the JSON that ``--input FILE`` or ``--input-json JSON`` gives, compact; None if there is neither.

    Raises:
        UserError: there are both, the file cannot be read, or it is not JSON.
    """
    if input_path is not None and input_json is not None:
        raise UserError("--input and --input-json are two inputs; give one of them")
    if input_json is not None:
        return compact_json(input_json, "--input-json")
    if input_path is None:
        return None
    if input_path == "-":
        return compact_json(sys.stdin.read(), "stdin")
    try:
        text = Path(input_path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read --input {input_path}: {error}") from error
    return compact_json(text, f"--input {input_path}")


def command_line(*words: str, db: Path) -> str:
    """Return a command for the user to copy, with ``--db`` if it is not where it would be looked for."""
    database = [] if str(db) == DEFAULT_DATABASE else ["--db", str(db)]
    return shlex.join([*_program(), *words, *database])


def _program() -> list[str]:
    """How this program was started, as short as the user can type it."""
    started = Path(sys.argv[0])
    if started.parts[-2:] == ("durable_trio", "__main__.py"):
        return ["python", "-m", "durable_trio"]
    if started.name != _PROGRAM or shutil.which(_PROGRAM) == str(started):
        return [_PROGRAM]
    return [os.path.relpath(started)]
