"""Test durable workflows: in virtual time, with every crash, and against recorded histories.

``DurableRunner`` runs a handler on the strict local service; the other tools build on it. docs/testing.md has a section
for each and says what kind of bug it catches. Names are imported when they are first used: pytest loads the plugin in
this package in every run, also in those that test nothing durable.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from durable_trio.testing._driver import CheckpointCall, Invocation, InvocationRecord
    from durable_trio.testing._logs import CapturedLog
    from durable_trio.testing.callbacks import CallbackAnswer, CallbackHandle, PlannedAnswer
    from durable_trio.testing.cloud import CloudRunner
    from durable_trio.testing.cloud_execution import CloudCallback, CloudExecution, CloudTimeoutError
    from durable_trio.testing.crashes import (
        explore_crashes,
        explore_crashes_sync,
        run_with_crashes,
        run_with_crashes_sync,
    )
    from durable_trio.testing.crashes_effects import EffectLog
    from durable_trio.testing.crashes_points import Crash, CrashPlan, CrashPoint
    from durable_trio.testing.crashes_report import CrashedRun, CrashesFoundError, CrashExploration
    from durable_trio.testing.execution import Execution, ExecutionStuckError
    from durable_trio.testing.fake_client import FakeLambdaContext, FakeServiceClient
    from durable_trio.testing.faults import Fault, FaultKind, Faults
    from durable_trio.testing.fixtures import RunnerFactory
    from durable_trio.testing.functions import FunctionHandle
    from durable_trio.testing.histories import History, HistoryFormatError
    from durable_trio.testing.histories_recording import record, record_execution
    from durable_trio.testing.recorded import RecordedOperation
    from durable_trio.testing.redaction import PayloadPlace, mask_members, redact_history
    from durable_trio.testing.replaying import (
        ReplayDivergenceError,
        ReplayReport,
        replay_history,
        replay_history_sync,
    )
    from durable_trio.testing.replaying_points import ReplayPoint
    from durable_trio.testing.result import RunResult
    from durable_trio.testing.runner import DurableRunner
    from durable_trio.testing.sentinel import (
        DeterminismSentinel,
        DeterminismWarning,
        NonDeterminismError,
        NonDeterministicCall,
    )
    from durable_trio.testing.sentinel_check import (
        DeterminismReport,
        check_determinism,
        check_determinism_sync,
    )
    from durable_trio.testing.sentinel_frames import SourceLine
    from durable_trio.testing.simulation import (
        run_with_faults,
        run_with_faults_sync,
        simulate,
        simulate_sync,
    )
    from durable_trio.testing.simulation_report import SimulatedRun, Simulation, SimulationFoundError
    from durable_trio.testing.simulation_world import Answer

# One line a module: what it gives.
_HOMES: Final[dict[str, tuple[str, ...]]] = {
    "_driver": ("CheckpointCall", "Invocation", "InvocationRecord"),
    "_logs": ("CapturedLog",),
    "callbacks": ("CallbackAnswer", "CallbackHandle", "PlannedAnswer"),
    "cloud": ("CloudRunner",),
    "cloud_execution": ("CloudCallback", "CloudExecution", "CloudTimeoutError"),
    "crashes": ("explore_crashes", "explore_crashes_sync", "run_with_crashes", "run_with_crashes_sync"),
    "crashes_effects": ("EffectLog",),
    "crashes_points": ("Crash", "CrashPlan", "CrashPoint"),
    "crashes_report": ("CrashedRun", "CrashesFoundError", "CrashExploration"),
    "execution": ("Execution", "ExecutionStuckError"),
    "fake_client": ("FakeLambdaContext", "FakeServiceClient"),
    "faults": ("Fault", "FaultKind", "Faults"),
    "fixtures": ("RunnerFactory",),
    "functions": ("FunctionHandle",),
    "recorded": ("RecordedOperation",),
    "result": ("RunResult",),
    "runner": ("DurableRunner",),
    "histories": ("History", "HistoryFormatError"),
    "histories_recording": ("record", "record_execution"),
    "redaction": ("PayloadPlace", "mask_members", "redact_history"),
    "replaying": ("ReplayDivergenceError", "ReplayReport", "replay_history", "replay_history_sync"),
    "replaying_points": ("ReplayPoint",),
    "sentinel": ("DeterminismSentinel", "DeterminismWarning", "NonDeterminismError", "NonDeterministicCall"),
    "sentinel_check": ("DeterminismReport", "check_determinism", "check_determinism_sync"),
    "sentinel_frames": ("SourceLine",),
    "simulation": (
        "run_with_faults",
        "run_with_faults_sync",
        "simulate",
        "simulate_sync",
    ),
    "simulation_report": ("SimulatedRun", "Simulation", "SimulationFoundError"),
    "simulation_world": ("Answer",),
}
_HOME_OF: Final = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Answer",
    "CallbackAnswer",
    "CallbackHandle",
    "CapturedLog",
    "CheckpointCall",
    "CloudCallback",
    "CloudExecution",
    "CloudRunner",
    "CloudTimeoutError",
    "Crash",
    "CrashExploration",
    "CrashPlan",
    "CrashPoint",
    "CrashedRun",
    "CrashesFoundError",
    "DeterminismReport",
    "DeterminismSentinel",
    "DeterminismWarning",
    "DurableRunner",
    "EffectLog",
    "Execution",
    "ExecutionStuckError",
    "FakeLambdaContext",
    "FakeServiceClient",
    "Fault",
    "FaultKind",
    "Faults",
    "FunctionHandle",
    "History",
    "HistoryFormatError",
    "Invocation",
    "InvocationRecord",
    "NonDeterminismError",
    "NonDeterministicCall",
    "PayloadPlace",
    "PlannedAnswer",
    "RecordedOperation",
    "ReplayDivergenceError",
    "ReplayPoint",
    "ReplayReport",
    "RunResult",
    "RunnerFactory",
    "SimulatedRun",
    "Simulation",
    "SimulationFoundError",
    "SourceLine",
    "check_determinism",
    "check_determinism_sync",
    "explore_crashes",
    "explore_crashes_sync",
    "mask_members",
    "record",
    "record_execution",
    "redact_history",
    "replay_history",
    "replay_history_sync",
    "run_with_crashes",
    "run_with_crashes_sync",
    "run_with_faults",
    "run_with_faults_sync",
    "simulate",
    "simulate_sync",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
