"""What the pytest plugin's fixtures ``durable_explore`` and ``durable_simulate`` give to a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durable_trio.testing.crashes import explore_crashes, explore_crashes_sync
from durable_trio.testing.simulation import simulate, simulate_sync

if TYPE_CHECKING:
    from collections.abc import Mapping

    from durable_trio.testing.crashes_report import CrashExploration
    from durable_trio.testing.simulation_report import Simulation

__all__ = ["CrashExplorer", "Simulator"]


class CrashExplorer:
    """``explore_crashes`` with the options of the test's marker ``durable_explore``; those of a call win."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = dict(options)

    async def __call__(self, handler: Any, event: Any = None, **options: Any) -> CrashExploration:
        """Explore, in an async test; see ``explore_crashes``. Prints what was done."""
        exploration = await explore_crashes(handler, event, **{**self.options, **options})
        print(exploration)  # shown by pytest with -s, and when the test fails later on
        return exploration

    def sync(self, handler: Any, event: Any = None, **options: Any) -> CrashExploration:
        """Explore, in a test that is not async; see ``explore_crashes``. Prints what was done."""
        exploration = explore_crashes_sync(handler, event, **{**self.options, **options})
        print(exploration)
        return exploration


class Simulator:
    """``simulate`` with the options of the test's marker ``durable_simulate``; those of a call win."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = dict(options)

    async def __call__(self, handler: Any, event: Any = None, **options: Any) -> Simulation:
        """Simulate, in an async test; see ``simulate``. Prints what was done."""
        simulation = await simulate(handler, event, **{**self.options, **options})
        print(simulation)
        return simulation

    def sync(self, handler: Any, event: Any = None, **options: Any) -> Simulation:
        """Simulate, in a test that is not async; see ``simulate``. Prints what was done."""
        simulation = simulate_sync(handler, event, **{**self.options, **options})
        print(simulation)
        return simulation
