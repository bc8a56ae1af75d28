"""Where plugins come from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio
from support.runs import run
from trio.testing import MockClock

from durable_trio import ConfigurationError, DurableContext, ValidationError, durable_execution
from durable_trio.plugins import Plugin, environment_plugins


@pytest.mark.parametrize("plugins", ["otel", 1, [1], ["otel"]])
def test_plugins_are_factories(plugins: Any) -> None:
    """Anything but a sequence of callables is refused where the handler is defined."""
    with pytest.raises(ValidationError, match="plugins"):
        durable_execution(plugins=plugins)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Install a package with the entry points ``good``, ``broken`` and ``strange``; return what it was told."""
    (tmp_path / "some_plugins.py").write_text("created = []\ngood = created.append\nstrange = 1\n")
    info = tmp_path / "some_plugins-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-plugins\nVersion: 1\n")
    points = "good = some_plugins:good\nbroken = no_such_module:plugin\nstrange = some_plugins:strange\n"
    (info / "entry_points.txt").write_text(f"[durable_trio.plugins]\n{points}")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("durable_trio.plugins._loaded", {})
    monkeypatch.delitem(sys.modules, "some_plugins", raising=False)
    import some_plugins  # type: ignore[import-not-found]  # written above

    created: list[str] = some_plugins.created
    return created


@durable_execution
async def handler(event: Any, ctx: DurableContext) -> None:
    """Do nothing."""
    await trio.lowlevel.checkpoint()


async def test_the_environment_names_entry_points(
    installed: list[str], autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name in ``DURABLE_TRIO_PLUGINS`` gets the entry point's plugin into every handler; repeated, once."""
    monkeypatch.setenv("DURABLE_TRIO_PLUGINS", " good ,good,")

    await run(handler)

    assert len(installed) == 1


async def test_installed_is_not_active(
    installed: list[str], autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the variable an installed plugin does nothing."""
    monkeypatch.delenv("DURABLE_TRIO_PLUGINS", raising=False)

    await run(handler)

    assert installed == []


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ("unknown", "there are: broken, good"),
        ("some_plugins:good", "no installed package has such an entry point"),
        ("good,broken", "cannot be loaded"),
        ("strange", "must be a function"),
    ],
)
def test_names_that_do_not_work_are_loud(
    names: str, complaint: str, installed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator's mistake fails the invocation; nothing but an entry point's name is ever imported."""
    monkeypatch.setenv("DURABLE_TRIO_PLUGINS", names)

    with pytest.raises(ConfigurationError, match=complaint):
        environment_plugins()


def test_unused_plugins_are_not_loaded() -> None:
    """Neither the machinery nor OpenTelemetry nor the entry points' catalogue is imported by the SDK."""
    code = (
        "import sys, durable_trio; print([m for m in ('opentelemetry', 'importlib.metadata', 'structlog',"
        " 'durable_trio.plugins', 'durable_trio._runtime.plugin_host', 'durable_trio.otel') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert shown.stdout == "[]\n"


async def test_a_plugin_need_not_inherit(autojump_clock: MockClock) -> None:
    """Any object with some of the hooks will do; without any, too."""
    seen: list[str] = []

    class Duck:
        def on_invocation_end(self, info: Any) -> None:
            seen.append(info.status)

    @durable_execution(plugins=[lambda info: Duck(), lambda info: Plugin(), lambda info: None])
    async def watched(event: Any, ctx: DurableContext) -> None:
        await trio.lowlevel.checkpoint()

    await run(watched)

    assert seen == ["SUCCEEDED"]
