"""``check_determinism``: one run under the sentinel, then its history replayed in other orders.

Three kinds of order are not the program's, and each is varied here:

- the order in which Trio runs tasks: the history is replayed under several scheduling *seeds*;
- the moment at which the execution was suspended: each replay starts from every point (``replaying_points``);
- the order of sets of strings, which Python draws once for a process: with *hash_seeds* the history is replayed in
  new processes under other values of ``PYTHONHASHSEED``. Such a process has to import the handler, so it must be a
  name of its module.

What depends on none of them, on the clock or on chance may still depend on the world: a file, a variable of the
environment, an HTTP call in the handler's body. Those belong in steps; nothing here can see them.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio

from durable_trio.exceptions import ConfigurationError, ValidationError
from durable_trio.testing.histories_recording import record
from durable_trio.testing.replaying import replay_history
from durable_trio.testing.runner import DurableRunner
from durable_trio.testing.sentinel import DeterminismSentinel, NonDeterminismError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from durable_trio.testing.histories import History
    from durable_trio.testing.result import RunResult

__all__ = ["DeterminismReport", "check_determinism", "check_determinism_sync"]

_DIFFERS: Final = 1
"""The exit code of ``durable-trio replay`` if the handler differs."""


@dataclass(frozen=True, slots=True)
class DeterminismReport:
    """What was checked, without a finding.

    Attributes:
        result: what the run left behind.
        history: its history, as good for a replay test as any.
        seeds: the scheduling seeds under which it was replayed.
        hash_seeds: the values of ``PYTHONHASHSEED`` under which it was replayed.
    """

    result: RunResult
    history: History
    seeds: tuple[int, ...]
    hash_seeds: tuple[int, ...]


async def check_determinism(
    handler: Any,
    event: Any = None,
    *,
    prepare: Callable[[DurableRunner], object] | None = None,
    seeds: Iterable[int] = range(5),
    hash_seeds: Iterable[int] = (),
    allow: Iterable[str] = (),
    **options: Any,
) -> DeterminismReport:
    """Run *handler* once, and fail if it would not go the same way again.

    Args:
        handler: made by ``@durable_execution``.
        event: its input.
        prepare: called with the open runner, to say what callbacks and functions answer.
        seeds: scheduling seeds to replay under.
        hash_seeds: values of ``PYTHONHASHSEED`` to replay under, each in a new process, 0 to 4294967295. Needs the
            extra ``[local]``.
        allow: names of calls that the sentinel lets pass (``"time.time"``).
        options: those of ``DurableRunner``, except ``check_determinism``.

    Raises:
        NonDeterminismError: the handler asks the clock, chance or the system in its own body, or differs under
            another hash seed.
        ReplayDivergenceError: it differs under another scheduling seed, or from another point.
        ConfigurationError: *handler* cannot be imported by a new process.
        ValidationError: *allow* has an unknown name, or a hash seed is out of range.

    If cancelled, the run ends, and so do the processes.
    """
    sentinel = DeterminismSentinel(allow=allow)
    hash_seeds = tuple(map(_checked_hash_seed, hash_seeds))
    reference = _reference(handler) if hash_seeds else ""
    async with DurableRunner(handler, check_determinism=sentinel, **options) as runner:
        if prepare is not None:
            prepare(runner)
        result = await runner.run(event)
    sentinel.check()
    history = record(result)
    seeds = tuple(seeds)
    for seed in seeds:
        await replay_history(handler, history, seed=seed)
    if hash_seeds:
        await _replay_in_processes(history, reference, hash_seeds)
    return DeterminismReport(result, history, seeds, hash_seeds)


def check_determinism_sync(handler: Any, event: Any = None, **options: Any) -> DeterminismReport:
    """Do as ``check_determinism``, in a Trio run of its own on virtual time.

    Raises:
        RuntimeError: called inside a Trio run; further errors as ``check_determinism``.
    """
    from trio.testing import MockClock

    async def main() -> DeterminismReport:
        return await check_determinism(handler, event, **options)

    return trio.run(main, clock=MockClock(autojump_threshold=0))


# --- other processes -------------------------------------------------------------------------------------


def _checked_hash_seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValidationError(f"a hash seed must be 0 to 4294967295, not {seed!r}")
    return seed


def _reference(handler: Any) -> str:
    """Return ``package.module:name`` or ``file.py:name``, by which another process finds *handler*."""
    module = sys.modules.get(getattr(handler, "__module__", None) or "")
    file = inspect.getsourcefile(module) if module is not None else None
    for name, value in vars(module).items() if module is not None else ():
        if value is handler and module is not None and file is not None:
            path = Path(file).resolve()
            return f"{module.__name__ if _finds(module.__name__, path) else path}:{name}"
    raise ConfigurationError(
        f"hash_seeds needs a handler that another process can import: {handler!r} must be a name of its module"
    )


def _finds(module: str, file: Path) -> bool:
    """Tell whether importing *module* anew would find *file*: test runners give modules names of their own."""
    parts = module.split(".")
    spec, path = None, None
    for end in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:end]), path)
        if spec is None:
            return False
        path = spec.submodule_search_locations
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve() == file


async def _replay_in_processes(history: History, reference: str, hash_seeds: tuple[int, ...]) -> None:
    with tempfile.TemporaryDirectory(prefix="durable-trio-") as folder:
        file = Path(folder, "history.json")
        history.save(file)
        for seed in hash_seeds:
            await _replay_in_process(str(file), reference, seed)


async def _replay_in_process(file: str, reference: str, seed: int) -> None:
    ran = await trio.run_process(
        [sys.executable, "-m", "durable_trio", "replay", file, reference, "--json"],
        env={
            **os.environ,
            "PYTHONHASHSEED": str(seed),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        },
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    if ran.returncode == 0:
        return
    if ran.returncode != _DIFFERS:
        raise ConfigurationError(
            f"the replay with PYTHONHASHSEED={seed} did not run: {ran.stderr.decode(errors='replace').strip()}"
        )
    found = json.loads(ran.stdout)
    where = f"\nasked for at {found['File']}:{found['Line']}" if "File" in found else ""
    raise NonDeterminismError(
        f"with PYTHONHASHSEED={seed} the handler does not replay what it did here, from {found['Point']}:\n"
        f"{found['Difference']}{where}\nSomething depends on the order of a set: sort it."
    )
