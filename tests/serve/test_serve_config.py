"""What the command line and a TOML file say about functions."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest
from serve.calls import ROOT

from durable_trio.cli.errors import UserError
from durable_trio.cli.serve_config import ServedFunction, from_command_line, read_file, with_workers
from durable_trio.local.workers.functions import WorkerFunction


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a handler in it."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "app.py").touch()
    return tmp_path


def read(folder: Path, text: str) -> tuple[ServedFunction, ...]:
    """Return the functions of a file."""
    file = folder / "functions.toml"
    file.write_text(text, encoding="utf-8")
    return read_file(file).functions


def worker_of(function: ServedFunction) -> WorkerFunction:
    """Return the worker of a function that has one."""
    assert isinstance(function.runs, WorkerFunction)
    return function.runs


def test_every_key_has_its_effect(folder: Path) -> None:
    """What the file says is what the service and the workers are told."""
    (orders,) = read(
        folder,
        """
        [functions.orders]
        handler = "code/app.py:handler"
        timeout = "30s"
        execution_timeout = "30d"
        retention_days = 7
        concurrency = 20
        workers = 4
        memory = 256
        description = "takes orders"
        durable = false
        environment = { STAGE = "local" }
        init_timeout = 5
        log_format = "JSON"
        runtime = "builtin"
        python = "venv/bin/python"
        """,
    )
    worker, config = worker_of(orders), orders.config

    assert (orders.name, orders.is_durable, orders.where) == ("orders", False, "app:handler")
    assert (worker.name, worker.module, worker.attribute) == ("orders", "app", "handler")
    assert worker.directory == folder / "code"
    assert (worker.timeout_seconds, config.timeout_seconds) == (30, 30)
    assert (config.execution_timeout_seconds, config.retention_days) == (30 * 86_400, 7)
    assert (config.concurrency, worker.max_workers) == (20, 4)
    assert (worker.memory_limit_in_mb, config.memory_limit_in_mb) == (256, 256)
    assert (config.description, worker.environment) == ("takes orders", {"STAGE": "local"})
    assert (worker.init_seconds, worker.log_format, worker.runtime) == (5, "JSON", "builtin")
    assert worker.python == str(folder / "venv/bin/python")


def test_little_has_to_be_said(folder: Path) -> None:
    """A handler is enough: the function is durable, and runs with this interpreter."""
    (orders,) = read(folder, '[functions.orders]\nhandler = "code/app.py:handler"')
    worker = worker_of(orders)

    assert orders.is_durable
    assert (worker.python, worker.max_workers, worker.runtime) == (sys.executable, 10, "auto")
    assert (orders.config.timeout_seconds, orders.config.retention_days) == (900, 14)


def test_a_module_is_found_in_its_directory(folder: Path) -> None:
    """By default in that of the file; nothing is imported here, so it need not exist yet."""
    here, there = read(
        folder,
        '[functions.a]\nhandler = "pkg.app:handler"\n'
        '[functions.b]\nhandler = "pkg.app:handler"\ndirectory = "code"',
    )

    assert (worker_of(here).module, worker_of(here).directory) == ("pkg.app", folder)
    assert worker_of(there).directory == folder / "code"


def test_a_function_may_be_elsewhere(folder: Path) -> None:
    """With a url there is no process."""
    (billing,) = read(folder, '[functions.billing]\nurl = "http://127.0.0.1:9000"\ntimeout = 3')

    assert (billing.runs, billing.where) == ("http://127.0.0.1:9000", "http://127.0.0.1:9000")
    assert billing.config.timeout_seconds == 3


def test_the_service_has_a_table_too(folder: Path) -> None:
    """Its keys are those of the command line; the database is relative to the file."""
    file = folder / "functions.toml"
    file.write_text('[service]\nport = 0\ndb = "x.sqlite"\nspeed = 2\nvirtual_time = false\nhost = "::1"')

    assert read_file(file).service == {
        "port": 0,
        "db": folder / "x.sqlite",
        "speed": 2.0,
        "virtual_time": False,
        "host": "::1",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[functions", "cannot read --config"),
        ("[server]", "functions.toml has no key 'server'; there are functions, service"),
        ("functions = 1", "functions.toml: functions must be a table, not 1"),
        ("[functions]\na = 1", "functions.toml: functions.a must be a table, not 1"),
        ("[service]\nprot = 1", "functions.toml: service has no key 'prot'; there are account, db, host"),
        ("[service]\nport = 70000", "functions.toml: service.port must be 0 to 65535, not 70000"),
        ("[service]\nspeed = 0", "functions.toml: service.speed must be a number above 0, not 0"),
        ("[functions.a]", "functions.toml: functions.a must have a handler, or the url"),
        ('[functions.a]\nhandler="m:f"\nurl="http://h"', "functions.a must have a handler, or the url"),
        ('[functions.a]\nhandler="app.handler"', "functions.a.handler must be like app.py:handler"),
        ('[functions.a]\nhandler="code/app.py:a.b"', "has to be at the top level of its module"),
        ('[functions.a]\nhandler="code/nothing.py:f"', "there is no file .*code/nothing.py"),
        (
            '[functions.a]\nhandler="m:f"\ntimeout="soon"',
            "functions.a.timeout must be seconds, or a text like",
        ),
        ('[functions.a]\nhandler="m:f"\ntimeout=0', "functions.a.timeout must be a whole number from 1"),
        ('[functions.a]\nhandler="m:f"\nworkers=true', "functions.a.workers must be a whole number from 1"),
        ('[functions.a]\nhandler="m:f"\ndurable="yes"', "functions.a.durable must be true or false"),
        (
            '[functions.a]\nhandler="m:f"\nenvironment={A=1}',
            "functions.a.environment must be a table of texts",
        ),
        ('[functions.a]\nhandler="m:f"\nretention_days=91', "retention_days must be 1 to 90, not 91"),
        ('[functions.a]\nhandler="m:f"\nlog_format="xml"', "log_format must be one of Text, JSON, not 'xml'"),
        ('[functions.a]\nurl="ftp://h"', "functions.a.url must be http://HOST:PORT, with"),
        ('[functions.a]\nurl="http://h"\nworkers=3', "functions.a.workers is about worker processes"),
    ],
)
def test_what_means_nothing_is_refused(folder: Path, text: str, message: str) -> None:
    """The message names the file, the key, the value and what is possible."""
    with pytest.raises(UserError, match=message):
        read(folder, text)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """The message names it."""
    with pytest.raises(UserError, match=r"cannot read --config .*nothing.toml"):
        read_file(tmp_path / "nothing.toml")


def test_handlers_of_the_command_line(folder: Path) -> None:
    """The name is made from the file and the handler, unless one is given."""
    named = from_command_line("orders=code/app.py:handler", is_durable=True, folder=folder)
    unnamed = from_command_line("code/app.py:handler", is_durable=False, folder=folder)

    assert (named.name, named.is_durable) == ("orders", True)
    assert (unnamed.name, unnamed.is_durable) == ("app-handler", False)


@pytest.mark.parametrize("name", ["sys.py", "my.app.py"])
def test_a_file_that_cannot_be_imported_is_refused(tmp_path: Path, name: str) -> None:
    """It would be another module, or none."""
    (tmp_path / name).touch()

    with pytest.raises(UserError, match="cannot be imported by that name"):
        from_command_line(f"{name}:handler", is_durable=True, folder=tmp_path)


def test_the_number_of_workers_goes_over_the_file(folder: Path) -> None:
    """For functions that have workers."""
    functions = read(
        folder, '[functions.a]\nhandler = "m:f"\nworkers = 2\n[functions.b]\nurl = "http://127.0.0.1:1"'
    )
    changed = with_workers(functions, 7)

    assert worker_of(changed[0]).max_workers == 7
    assert changed[1] == functions[1]


def test_the_examples_can_be_read() -> None:
    """The file among the examples, and the one in the documentation."""
    example = read_file(ROOT / "examples" / "functions.toml")
    assert [function.name for function in example.functions] == ["invoices", "orders"]

    page = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert set(tomllib.loads(block)["functions"]) == {"orders", "stock", "billing"}
