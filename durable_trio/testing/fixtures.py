"""What the pytest plugin's fixtures give to a test. The plugin itself must stay light; see there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durable_trio.testing.runner import DurableRunner

if TYPE_CHECKING:
    from durable_trio.testing.result import RunResult

__all__ = ["RunnerFactory"]


class RunnerFactory:
    """The value of the fixture ``durable_runner``: makes runners, or runs a handler at once.

    *options* are those of ``DurableRunner``.
    """

    def __call__(self, handler: Any, **options: Any) -> DurableRunner:
        """Return a runner, to be opened by ``async with``."""
        return DurableRunner(handler, **options)

    async def run(
        self, handler: Any, event: Any = None, *, name: str | None = None, **options: Any
    ) -> RunResult:
        """Run *handler* until its execution has ended; see ``DurableRunner.run``."""
        async with DurableRunner(handler, **options) as runner:
            return await runner.run(event, name=name)

    def run_sync(
        self, handler: Any, event: Any = None, *, name: str | None = None, **options: Any
    ) -> RunResult:
        """Do the same in a test that is not async; see ``DurableRunner.run_sync``."""
        return DurableRunner(handler, **options).run_sync(event, name=name)
