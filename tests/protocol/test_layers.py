"""Imports point down, and importing the SDK stays cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import durable_trio

PACKAGE = Path(durable_trio.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# A module may import from lower layers and from its own part; ``local`` and ``_runtime`` do not know each other.
LAYERS: list[set[str]] = [
    {"_protocol"},
    {"exceptions"},
    {"duration", "clock"},
    {
        "identifiers",
        "durable_errors",
        "serdes",
        "retries",
        "conditions",
        "step_context",
        "config",
        "batch",
        "settled",
        "restarts",
        "plugins",
        "asyncio_steps",
    },
    {"clients"},
    {"local", "_runtime"},
    {"handler", "log"},
    {"otel"},
    {""},  # the package itself: the public names
    {"testing"},
    {"cli"},
    {"__main__"},
]
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
LOCAL_MAY_NOT_IMPORT = {"_runtime", "handler", ""}
# ``config.Branch`` holds a function that takes a context; the name is for type checkers alone.
UPWARDS_FOR_TYPES = {("config", "_runtime")}

PURE = {
    "__future__",
    "base64",
    "binascii",
    "collections",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "functools",
    "hashlib",
    "itertools",
    "json",
    "math",
    "operator",
    "re",
    "reprlib",
    "sys",
    "types",
    "typing",
    "uuid",
    "zoneinfo",
    "bisect",
    "heapq",
}
"""What ``_protocol`` may import: nothing that has a clock, chance, I/O or tasks in it."""

IMPURE_CALLS = {"now", "today", "utcnow", "uuid1", "uuid4"}


def part_of(path: Path) -> str:
    """Return the part of the package that a module belongs to."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Give every import of a module, also those for type checkers and in functions, as line and dotted name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} is a relative import"
            assert node.module is not None
            if node.module == "durable_trio":
                # Either a part of the package, or one of its public names.
                for alias in node.names:
                    known = alias.name in LEVEL
                    yield node.lineno, f"durable_trio.{alias.name}" if known else "durable_trio"
            else:
                yield node.lineno, node.module


def own_parts(path: Path) -> Iterator[tuple[int, str]]:
    """Give the parts of the package that a module imports."""
    for line, name in imports_of(path):
        parts = name.split(".")
        if parts[0] == "durable_trio":
            yield line, parts[1] if len(parts) > 1 else ""


def test_every_module_has_a_layer() -> None:
    """Nothing stands outside the layers."""
    assert {part_of(path) for path in MODULES} <= set(LEVEL)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    """A module imports from its own part and from the layers below, never sideways or up."""
    part = part_of(path)
    level = LEVEL[part]
    wrong = [
        f"line {line}: {other or 'durable_trio'}"
        for line, other in own_parts(path)
        if other != part and not _may_import(part, other, level)
    ]
    assert wrong == []


def _may_import(part: str, other: str, level: int) -> bool:
    if part == "local" and other in LOCAL_MAY_NOT_IMPORT:
        return False
    if LEVEL[other] < level:
        return True
    # The SDK's plain values may know each other; they have no parts of their own to hide.
    return (part, other) in UPWARDS_FOR_TYPES or LEVEL[other] == level == LEVEL["config"]


@pytest.mark.parametrize(
    "path", [path for path in MODULES if part_of(path) == "_protocol"], ids=lambda path: path.name
)
def test_the_protocol_is_pure(path: Path) -> None:
    """``_protocol`` imports nothing that has a clock, chance, I/O or tasks in it, and asks nobody for the time."""
    foreign = [
        f"line {line}: {name}"
        for line, name in imports_of(path)
        if name.split(".")[0] not in PURE and not name.startswith("durable_trio._protocol")
    ]
    calls = [
        f"line {node.lineno}: {node.func.attr}()"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in IMPURE_CALLS
        and isinstance(node.func.value, ast.Name)
    ]
    assert foreign == []
    assert calls == []


def test_importing_the_sdk_is_cheap() -> None:
    """``import durable_trio`` loads nothing that costs cold start or belongs to development."""
    heavy = [
        "boto3",
        "botocore",
        "sqlite3",
        "click",
        "rich",
        "pytest",
        "structlog",
        "hypercorn",
        "starlette",
        "cbor2",
        "asyncio",
    ]
    program = f"import durable_trio, sys; print([name for name in {heavy} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "[]"


def test_public_names_are_sorted_and_there() -> None:
    """``__all__`` is sorted, without repetition, and every name in it exists."""
    names = list(durable_trio.__all__)

    assert names == sorted(set(names))
    assert [name for name in names if not hasattr(durable_trio, name)] == []
