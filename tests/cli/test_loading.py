from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from durable_trio.cli.errors import UserError
from durable_trio.cli.loading import HandlerReference, load_target

if TYPE_CHECKING:
    from pathlib import Path

HANDLER = """
class Handler:
    async def invoke(self, event, lambda_context, *, client):
        return {"Status": "PENDING"}

handler = Handler()
"""


@pytest.fixture(autouse=True)
def import_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what imports do to the process."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))


def write(path: Path, text: str = HANDLER) -> Path:
    """Write a Python file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def load(text: str) -> object:
    """Load what *text* names."""
    return load_target(HandlerReference.parse(text))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("examples/order_fulfilment.py:handler", "order_fulfilment-handler"),
        ("package.module:handler", "package_module-handler"),
        ("file.py:Desk.handler", "file-Desk_handler"),
        (f"{'x' * 80}:handler", "x" * 64),
    ],
)
def test_the_function_is_named_after_its_source(text: str, name: str) -> None:
    """The name is stable, says where the handler is, and is a legal function name."""
    assert HandlerReference.parse(text).function_name == name


@pytest.mark.parametrize(
    "text", ["handler", "file.py", ":handler", "file.py:", "file.py:a b", "file.py:a..b"]
)
def test_a_reference_has_two_parts(text: str) -> None:
    """What is not SOURCE:HANDLER is refused with an example."""
    with pytest.raises(UserError, match="names no handler"):
        HandlerReference.parse(text)


def test_a_handler_is_loaded_from_a_file(tmp_path: Path) -> None:
    """Its own directory comes first on the import path, as with ``python file.py``."""
    write(tmp_path / "beside_the_file.py", "value = 1")
    path = write(tmp_path / "flow.py", f"import beside_the_file\n{HANDLER}")

    assert callable(load(f"{path}:handler"))


def test_a_file_never_replaces_a_module(tmp_path: Path) -> None:
    """A file called like a loaded module leaves that module alone."""
    import json

    load(f"{write(tmp_path / 'json.py')}:handler")

    assert sys.modules["json"] is json


def test_a_handler_is_loaded_from_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current directory comes first on the import path, as with ``python -m``."""
    write(tmp_path / "some_package_of_mine" / "flow.py")
    monkeypatch.chdir(tmp_path)

    assert callable(load("some_package_of_mine.flow:handler"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def handler(event, ctx): ...", "is a plain function, not a durable handler; decorate it with"),
        ("handler = 5", "is a int, not a durable handler"),
        ("", "has no 'handler'"),
        ("import no_such_module_at_all", r"ModuleNotFoundError: No module named .*flow\.py, line 1\)"),
        ("\n\n1 / 0", r"ZeroDivisionError: division by zero \(.*flow\.py, line 3\)"),
        ("def :", r"SyntaxError: .*flow\.py, line 1\)"),
        ("raise SystemExit(0)", "SystemExit: 0"),
    ],
)
def test_what_is_wrong_with_the_file_is_said(tmp_path: Path, text: str, message: str) -> None:
    """The message names the cause and the user's own line."""
    path = write(tmp_path / "flow.py", text)

    with pytest.raises(UserError, match=message):
        load(f"{path}:handler")


def test_a_missing_file_or_module_is_said() -> None:
    """There is nothing to import."""
    with pytest.raises(UserError, match=r"there is no file nowhere\.py"):
        load("nowhere.py:handler")
    with pytest.raises(UserError, match="No module named 'nowhere_at_all'"):
        load("nowhere_at_all.flow:handler")
