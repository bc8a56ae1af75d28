"""Nothing that is stored can make the SDK import, unpickle, execute or open anything."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from security.hostile import BOMBS

import durable_trio

PACKAGE = Path(durable_trio.__file__).parent
DANGEROUS_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "yaml", "xml", "codeop", "imp"}
DANGEROUS_CALLS = {"eval", "exec", "compile", "__import__"}
MAKES_CODE_ON_PURPOSE = {"cli/loading.py", "_protocol/value_class.py"}
"""The command line loads the module that its user names. Value classes, like dataclasses, are compiled from the names of
their fields, which are ours."""


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix()
)
def test_no_module_can_make_code_of_data(path: Path) -> None:
    """No unpickling, no evaluation, anywhere in the package."""
    if path.relative_to(PACKAGE).as_posix() in MAKES_CODE_ON_PURPOSE:
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {(node.module or "").split(".")[0]}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in DANGEROUS_CALLS, f"line {node.lineno}"
            continue
        else:
            continue
        assert not names & DANGEROUS_MODULES, f"line {node.lineno}"


WATCHED = """
import base64, json, sys
import cbor2, zlib
from datetime import datetime
from zoneinfo import ZoneInfo
from durable_trio import *
from durable_trio._protocol.batch_record import decode_batch, decode_verdict
from durable_trio._protocol.wire import WireError
from durable_trio.durable_errors import rebuild

ctx = SerdesContext("a1", "arn")
every = [json_serdes(), cbor_serdes(), aws_python_serdes(), staged(json_serdes(), compression_stage())]
for serdes in every:  # what is loaded when it is first needed, is loaded now
    serdes.deserialize(serdes.serialize({"a": [1, 2.5, b"x"]}, ctx), ctx)
for module in [module for name, module in sys.modules.items() if name.startswith("durable_trio")]:
    for value in list(vars(module).values()):  # what is compiled when it is first needed, is compiled now
        if isinstance(value, type) and "__value_fields__" in vars(value):
            value.__init__, value.__eq__, value.__hash__
texts = json.loads(sys.stdin.read())

def watch(event, args):
    if event in ("import", "exec", "compile", "open", "pickle.find_class", "os.system", "subprocess.Popen"):
        print(event, args, file=sys.stderr)
        sys.stderr.flush()
        import os
        os._exit(9)

sys.addaudithook(watch)
for text in texts:
    for serdes in every:
        try:
            serdes.deserialize(text, ctx)
        except SerDesError:
            pass
    for decode in (decode_batch, decode_verdict):
        try:
            decode(text)
        except WireError:
            pass
    rebuild(ErrorObject("m", "os.system", text))
print("done")
"""

HOSTILE = [
    '{"$type": "os.system", "args": ["true"]}',
    '{"$datetime": "2026-01-01T00:00:00+00:00[../../../../etc/passwd]"}',
    '{"$datetime": "2026-01-01T00:00:00+00:00[/etc/passwd]"}',
    '{"py/object": "os.system"}',
    '{"py/reduce": [{"py/type": "os.system"}, ["true"]]}',
    '{"t": "br", "v": {"__class__": "os.system"}}',
    '{"t": "os.system", "v": ["true"]}',
    '{"args": ["true"], "kwargs": {}}',
    "gASVHAAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAR0cnVllIWUUpQu",  # a pickle of os.system("true")
    "2CMiKGErKSsi",  # CBOR: tag 35, a regular expression
    "2CRkdGV4dA==",  # CBOR: tag 36, a mail message
    *BOMBS.values(),
]


def test_reading_hostile_payloads_has_no_effect() -> None:
    """Python's own audit events tell: no import, no compilation, no file, no process."""
    finished = subprocess.run(
        [sys.executable, "-c", WATCHED],
        input=json.dumps(HOSTILE),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (finished.returncode, finished.stdout) == (0, "done\n"), finished.stderr
