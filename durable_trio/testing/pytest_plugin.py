"""The pytest plugin: fixtures for durable workflows. Nothing happens to tests that do not ask for one.

How it works. pytest loads this module in every run, before coverage is measured and whether or not a test is about
anything durable; so it holds nothing but names, and each of them imports what it needs when a test asks for it.

``durable_runner`` makes runners. Virtual time needs a Trio run whose clock is virtual, and who makes the run of an
async test is pytest-trio. It takes the clock from the test's fixtures if one of them *is* a clock
(``autojump_clock``, ``durable_clock``), and lets a test choose who runs it: ``@pytest.mark.trio(run=...)``. So the
fixture marks its test to be run by ``trio.run`` with a ``MockClock`` that jumps, and leaves it alone in these cases:

- the test has a fixture that is a clock: that one is used;
- the test says itself who runs it;
- the test is not async, or something else than pytest-trio runs it: then a runner is used by ``run_sync``, or moves the
  service's own time only (see ``DurableRunner``).
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from durable_trio.testing.fixtures import RunnerFactory
    from durable_trio.testing.simulation_fixtures import CrashExplorer, Simulator


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare ``--durable-seed``."""
    group = parser.getgroup("durable_trio", "durable workflows")
    group.addoption(
        "--durable-seed",
        action="append",
        type=int,
        default=[],
        metavar="N",
        help="simulate with this seed only, in the place of every simulation's own (may be given several times)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers, and hand the seeds on if there are any."""
    config.addinivalue_line(
        "markers", "durable_explore(**options): options of explore_crashes for the fixture durable_explore"
    )
    config.addinivalue_line(
        "markers", "durable_simulate(**options): options of simulate for the fixture durable_simulate"
    )
    seeds = config.getoption("durable_seed", default=[])
    if seeds:
        from durable_trio.testing import simulation

        simulation.override_seeds[:] = seeds


@pytest.fixture
def durable_explore(request: pytest.FixtureRequest) -> CrashExplorer:
    """Crashes a workflow everywhere: ``await durable_explore(handler, event, ...)``, or ``durable_explore.sync(...)``."""
    from durable_trio.testing.simulation_fixtures import CrashExplorer

    return CrashExplorer(_options(request, "durable_explore"))


@pytest.fixture
def durable_simulate(request: pytest.FixtureRequest) -> Simulator:
    """Runs a workflow under seeds: ``await durable_simulate(handler, event, ...)``, or ``durable_simulate.sync(...)``."""
    from durable_trio.testing.simulation_fixtures import Simulator

    return Simulator(_options(request, "durable_simulate"))


def _options(request: pytest.FixtureRequest, marker: str) -> dict[str, Any]:
    """Return the options of all markers of this name, those nearest to the test winning."""
    options: dict[str, Any] = {}
    for mark in reversed(list(request.node.iter_markers(marker))):
        if mark.args:
            raise pytest.UsageError(f"@pytest.mark.{marker} takes options by name only, not {mark.args!r}")
        options.update(mark.kwargs)
    return options


@pytest.fixture
def durable_clock() -> MockClock:
    """Trio's virtual clock for this test, jumping when nothing can run: async tests take it as their clock."""
    from trio.testing import MockClock

    return MockClock(autojump_threshold=0)


@pytest.fixture
def durable_runner(request: pytest.FixtureRequest) -> RunnerFactory:
    """Makes ``DurableRunner``s; an async test that takes it runs in virtual time.

    ``durable_runner(handler, ...)`` is a ``DurableRunner``, and ``await durable_runner.run(handler, event, ...)`` runs one
    to the end of an execution; in a test that is not async, ``durable_runner.run_sync(handler, event, ...)``.
    """
    from durable_trio.testing.fixtures import RunnerFactory

    if _is_run_by_pytest_trio(request):
        # In front: pytest-trio takes the first one that says by whom to be run, and its trio_mode puts one there.
        request.node.add_marker(pytest.mark.trio(run=_in_virtual_time), append=False)
    return RunnerFactory()


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Show how two runs differ when ``assert left == right`` fails."""
    import sys

    if op != "==" or "durable_trio.testing.result" not in sys.modules:
        return None
    from durable_trio.testing.outcomes import differences
    from durable_trio.testing.result import RunResult

    if not isinstance(left, RunResult) or not isinstance(right, RunResult):
        return None
    return ["two runs that came to the same", *differences(left, right)]


def _is_run_by_pytest_trio(request: pytest.FixtureRequest) -> bool:
    import trio

    node = request.node
    return (
        request.config.pluginmanager.hasplugin("trio")
        and inspect.iscoroutinefunction(getattr(node, "obj", None))
        and node.get_closest_marker("trio") is not None
        and all(marker.kwargs.get("run", trio.run) is trio.run for marker in node.iter_markers("trio"))
    )


def _in_virtual_time(
    main: Callable[..., Any], *arguments: Any, clock: Any = None, instruments: Any = (), **options: Any
) -> Any:
    """Be ``trio.run``, with a clock that jumps if there is none.

    pytest-trio runs a test in a nursery, which makes a group of whatever the test raises. What is alone in it is taken
    out again, so that a failing assertion looks as it does in any other test.
    """
    import trio
    from trio.testing import MockClock

    clock = MockClock(autojump_threshold=0) if clock is None else clock
    try:
        return trio.run(main, *arguments, clock=clock, instruments=instruments, **options)
    except BaseExceptionGroup as group:
        first, *others = group.exceptions
        if others:
            raise
        error = first
    raise error
