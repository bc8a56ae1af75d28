"""Finding the handler that the user names: ``path/to/file.py:handler`` or ``package.module:handler``.

As ``python file.py`` and ``python -m module`` do, a file's own directory, or the current one, comes first on
the import path, so that the packages next to it can be imported.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from durable_trio.cli.errors import UserError

if TYPE_CHECKING:
    from types import ModuleType

    from durable_trio.local import FunctionTarget

_MAX_FUNCTION_NAME_LENGTH: Final = 64


@dataclass(frozen=True, slots=True)
class HandlerReference:
    """Where a handler is: *source* is a file or a module, *attribute* its name there, maybe with dots."""

    source: str
    attribute: str

    @classmethod
    def parse(cls, text: str) -> HandlerReference:
        """Read ``MODULE:HANDLER`` or ``FILE.py:HANDLER``.

        Raises:
            UserError: there is no colon, or nothing on one side of it.
        """
        source, _, attribute = text.rpartition(":")
        if not source or not all(part.isidentifier() for part in attribute.split(".")):
            raise UserError(
                f"{text!r} names no handler; write file.py:handler or package.module:handler, "
                "for example examples/order_fulfilment.py:handler"
            )
        return cls(source, attribute)

    @property
    def is_file(self) -> bool:
        """Tell whether the source is a file, not a module."""
        return self.source.endswith(".py") or "/" in self.source

    @property
    def function_name(self) -> str:
        """The function's name at the local service: the file's or module's name, a dash, the handler's."""
        source = Path(self.source).stem if self.is_file else self.source
        return re.sub(r"[^a-zA-Z0-9\-_]", "_", f"{source}-{self.attribute}")[:_MAX_FUNCTION_NAME_LENGTH]


def load_target(reference: HandlerReference) -> FunctionTarget:
    """Import the handler, and return how to invoke it.

    Raises:
        UserError: it cannot be imported (the message names the cause), or is not a durable handler.
    """
    value = load_object(reference)
    target = getattr(value, "invoke", None)
    if not inspect.iscoroutinefunction(target):
        what = "a plain function" if inspect.isfunction(value) else f"a {type(value).__name__}"
        raise UserError(
            f"{reference.source}:{reference.attribute} is {what}, not a durable handler; "
            "decorate it with @durable_execution"
        )
    found: FunctionTarget = target
    return found


def load_object(reference: HandlerReference) -> Any:
    """Import what *reference* names, whatever it is.

    Raises:
        UserError: it cannot be imported; the message names the cause.
    """
    value: Any = _import(reference)
    for part in reference.attribute.split("."):
        if not hasattr(value, part):
            raise UserError(f"{reference.source} has no {reference.attribute!r}")
        value = getattr(value, part)
    return value


def _import(reference: HandlerReference) -> ModuleType:
    try:
        if reference.is_file:
            return _import_file(Path(reference.source))
        _put_first_on_path(Path.cwd())
        return importlib.import_module(reference.source)
    except UserError:
        raise
    # User code may raise anything while it is imported; SystemExit must not pass for a clean exit.
    except (Exception, SystemExit) as error:
        raise UserError(f"cannot import {reference.source}: {_cause(error)}") from error


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    _put_first_on_path(path.resolve().parent)
    # Under its own name unless that is taken: a file called json.py must not replace the json module.
    name = path.stem if path.stem not in sys.modules else f"{path.stem} of durable-trio"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise UserError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    # Annotations and dataclasses look their module up by name while it is being executed.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _put_first_on_path(directory: Path) -> None:
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))


def _cause(error: BaseException) -> str:
    """Describe *error* and where in the user's code it happened."""
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg} ({error.filename}, line {error.lineno})"
    text = "".join(traceback.format_exception_only(error)).strip()
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and not frame.filename.startswith("<frozen")
    ]
    if not frames or frames[-1].filename == importlib.__file__:
        return text
    return f"{text} ({frames[-1].filename}, line {frames[-1].lineno})"
