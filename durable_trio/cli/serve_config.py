"""What ``durable-trio serve`` is to serve: from the command line, and from a TOML file.

The file says about a function what one would tell AWS when creating it::

    [service]
    region = "eu-central-1"

    [functions.orders]
    handler = "orders/app.py:handler"
    timeout = "30s"
    environment = { STAGE = "local" }

    [functions.billing]
    url = "http://127.0.0.1:9000"

``_SERVICE`` and ``_FUNCTION`` are the tables of all keys. A key that is not there is an error: a misspelt one must
not be silently without effect. Paths are relative to the file.
"""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from durable_trio.cli.errors import UserError
from durable_trio.cli.loading import HandlerReference
from durable_trio.cli.options import parse_seconds
from durable_trio.exceptions import ValidationError
from durable_trio.local.function_config import FunctionConfig
from durable_trio.local.workers.endpoint import InvokeUrl
from durable_trio.local.workers.functions import WorkerFunction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class ServedFunction:
    """A function to serve: *runs* says where, in workers or at a URL."""

    name: str
    runs: WorkerFunction | str
    config: FunctionConfig
    is_durable: bool

    @property
    def where(self) -> str:
        """Say where the code is."""
        return self.runs if isinstance(self.runs, str) else f"{self.runs.module}:{self.runs.attribute}"


@dataclass(frozen=True, slots=True)
class ServeFile:
    """What a TOML file says; *service* holds the values of its table of that name, by key."""

    functions: tuple[ServedFunction, ...] = ()
    service: Mapping[str, Any] = field(default_factory=dict)


def read_file(path: Path) -> ServeFile:
    """Read a TOML file.

    Raises:
        UserError: it cannot be read, or says something that means nothing; the message names the key.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"cannot read --config {path}: {error}") from error
    tables = _Table(f"{path.name}: ", content)
    tables.refuse_others({"service", "functions"})
    folder = path.resolve().parent
    functions = tables.table("functions")
    return ServeFile(
        tuple(_function(name, functions.table(name), folder) for name in functions.values),
        tables.table("service").read(_SERVICE, folder),
    )


def from_command_line(text: str, *, is_durable: bool, folder: Path) -> ServedFunction:
    """Return the function of an argument ``[NAME=]FILE.py:HANDLER``.

    Raises:
        UserError: it names no handler.
    """
    name, _, handler = text.rpartition("=")
    reference = HandlerReference.parse(handler)
    function = _worker_function(name or reference.function_name, reference, folder, {})
    return ServedFunction(function.name, function, FunctionConfig(), is_durable)


def with_workers(functions: tuple[ServedFunction, ...], max_workers: int) -> tuple[ServedFunction, ...]:
    """Return *functions* with that many worker processes each."""
    return tuple(
        function
        if isinstance(function.runs, str)
        else replace(function, runs=replace(function.runs, max_workers=max_workers))
        for function in functions
    )


# --- reading tables --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of the file; *path* is what comes before a key of it in a message."""

    path: str
    values: Mapping[str, Any]

    def table(self, key: str) -> _Table:
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise UserError(f"{self.path}{key} must be a table, not {value!r}")
        return _Table(f"{self.path}{key}.", value)

    def refuse_others(self, known: set[str]) -> None:
        for key in self.values:
            if key not in known:
                where = self.path.rstrip(".: ")
                raise UserError(f"{where} has no key {key!r}; there are {', '.join(sorted(known))}")

    def read(self, readers: Mapping[str, _Reader], folder: Path) -> dict[str, Any]:
        self.refuse_others(set(readers))
        values = {}
        for key, value in self.values.items():
            try:
                values[key] = readers[key](value, folder)
            except _WrongValueError as error:
                raise UserError(f"{self.path}{key} must be {error}, not {value!r}") from error
        return values


class _WrongValueError(Exception):
    """Says what a value must be."""


if TYPE_CHECKING:
    _Reader = Callable[[Any, Path], Any]


def _text(value: Any, _folder: Path) -> str:
    if not isinstance(value, str) or not value:
        raise _WrongValueError("a text")
    return value


def _flag(value: Any, _folder: Path) -> bool:
    if not isinstance(value, bool):
        raise _WrongValueError("true or false")
    return value


def _count(value: Any, _folder: Path) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _WrongValueError("a whole number from 1")
    return value


def _port(value: Any, _folder: Path) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 65_535:
        raise _WrongValueError("0 to 65535")
    return value


def _factor(value: Any, _folder: Path) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
        raise _WrongValueError("a number above 0")
    return float(value)


def _seconds(value: Any, folder: Path) -> int:
    if isinstance(value, str):
        try:
            return parse_seconds(value, "it")
        except UserError as error:
            raise _WrongValueError("seconds, or a text like 90s, 15m, 2h or 30d") from error
    return _count(value, folder)


def _folder_path(value: Any, folder: Path) -> Path:
    return folder / _text(value, folder)


def _interpreter(value: Any, folder: Path) -> str:
    text = _text(value, folder)
    return str(folder / text) if "/" in text else text


def _texts(value: Any, _folder: Path) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise _WrongValueError("a table of texts")
    return value


def _handler(value: Any, folder: Path) -> HandlerReference:
    try:
        return HandlerReference.parse(_text(value, folder))
    except UserError as error:
        raise _WrongValueError("like app.py:handler or package.module:handler") from error


def _url(value: Any, folder: Path) -> str:
    text = _text(value, folder)
    try:
        InvokeUrl.parse(text)
    except ValidationError as error:
        raise _WrongValueError(
            "http://HOST:PORT, with /2015-03-31/functions/NAME/invocations or without"
        ) from error
    return text


_SERVICE: Final[Mapping[str, _Reader]] = {
    "account": _text,
    "db": _folder_path,
    "host": _text,
    "port": _port,
    "region": _text,
    "speed": _factor,
    "virtual_time": _flag,
}

_FUNCTION: Final[Mapping[str, _Reader]] = {
    "concurrency": _count,
    "description": _text,
    "directory": _folder_path,
    "durable": _flag,
    "environment": _texts,
    "execution_timeout": _seconds,
    "handler": _handler,
    "init_timeout": _seconds,
    "log_format": _text,
    "memory": _count,
    "python": _interpreter,
    "retention_days": _count,
    "runtime": _text,
    "timeout": _seconds,
    "url": _url,
    "workers": _count,
}
_OF_A_CONFIG: Final = {
    "concurrency": "concurrency",
    "description": "description",
    "execution_timeout": "execution_timeout_seconds",
    "memory": "memory_limit_in_mb",
    "retention_days": "retention_days",
    "timeout": "timeout_seconds",
}
_OF_A_WORKER: Final = {
    "environment": "environment",
    "init_timeout": "init_seconds",
    "log_format": "log_format",
    "memory": "memory_limit_in_mb",
    "python": "python",
    "runtime": "runtime",
    "timeout": "timeout_seconds",
    "workers": "max_workers",
}


def _function(name: str, table: _Table, folder: Path) -> ServedFunction:
    values = table.read(_FUNCTION, folder)
    if ("handler" in values) == ("url" in values):
        raise UserError(
            f"{table.path[:-1]} must have a handler, or the url of a function that runs elsewhere"
        )
    is_durable = values.pop("durable", True)
    try:
        config = FunctionConfig(
            **{theirs: values[key] for key, theirs in _OF_A_CONFIG.items() if key in values}
        )
        if "url" in values:
            only_workers = values.keys() & (_OF_A_WORKER.keys() - _OF_A_CONFIG.keys() | {"directory"})
            if only_workers:
                raise UserError(
                    f"{table.path}{min(only_workers)} is about worker processes, and has no effect with a url"
                )
            return ServedFunction(name, values["url"], config, is_durable)
        options = {theirs: values[key] for key, theirs in _OF_A_WORKER.items() if key in values}
        function = _worker_function(name, values["handler"], values.get("directory", folder), options)
    except ValidationError as error:
        raise UserError(f"{table.path[:-1]}: {error}") from error
    return ServedFunction(name, function, config, is_durable)


def _worker_function(
    name: str, reference: HandlerReference, folder: Path, options: Mapping[str, Any]
) -> WorkerFunction:
    """Say how a worker finds the handler. It is not imported here: its code runs in workers only."""
    if "." in reference.attribute:
        raise UserError(
            f"{reference.source}:{reference.attribute} has to be at the top level of its module, as on Lambda"
        )
    if not reference.is_file:
        return WorkerFunction(
            name=name,
            module=reference.source,
            attribute=reference.attribute,
            directory=folder.resolve(),
            **options,
        )
    file = (folder / reference.source).resolve()
    if not file.is_file():
        raise UserError(f"there is no file {file}")
    if "." in file.stem or file.stem in sys.builtin_module_names:
        raise UserError(f"{file.name} cannot be imported by that name; Lambda could not either")
    return WorkerFunction(
        name=name, module=file.stem, attribute=reference.attribute, directory=file.parent, **options
    )
