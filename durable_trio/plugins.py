"""Plugins: code that watches invocations, operations and bodies, and changes nothing.

A plugin is made per invocation, by a factory that is given to ``durable_execution(plugins=...)`` or named in
the environment (see ``environment_plugins``). What it does not override costs nothing, and a handler without
plugins pays one comparison at each place where a hook would be called.

When hooks are called, and in which task:

- ``on_invocation_start`` and ``..._end``: once each, in the task that runs the handler, around everything else.
- ``on_operation_start``: an operation's first START is queued; it may not be stored yet.
- ``on_operation_replay``: the program has reached an operation that an earlier invocation had started and that
  has not ended; at most once per invocation. Operations that have ended are not told again.
- ``on_operation_change``: an operation has moved on without ending: a step waits for its next attempt, its
  delay is over, or it was started again.
- ``on_operation_end``: the service has stored an operation's end. What ended between two invocations (a timer,
  a callback's answer, an invoked function) is told at the start of the next, with ``is_replayed``.
- ``on_user_function_start`` and ``..._end``: around each run of a step's body, a check, or the body of a recorded
  context or item, in that body's own task, before a worker thread copies its context variables. So what the
  first one puts into a context variable is seen by the body.

Virtual contexts and the items of flat batches are not operations: only what happens inside them is told.

Hooks are plain functions and must be quick: the invocation waits for them. What they raise is logged, once per
hook and invocation, and changes nothing, neither for the execution nor for other plugins. Over crashes an end
may be told twice or not at all, like anything that is not recorded.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

from durable_trio.exceptions import ConfigurationError

if TYPE_CHECKING:
    from durable_trio._protocol.operation import ErrorObject, OperationStatus, OperationType

__all__ = [
    "InvocationEndInfo",
    "InvocationInfo",
    "InvocationStatus",
    "OperationInfo",
    "Plugin",
    "PluginFactory",
    "UserFunctionEndInfo",
    "UserFunctionInfo",
    "UserFunctionOutcome",
    "environment_plugins",
]

ENTRY_POINT_GROUP: Final = "durable_trio.plugins"
ENVIRONMENT_VARIABLE: Final = "DURABLE_TRIO_PLUGINS"


class InvocationStatus(StrEnum):
    """How an invocation ended."""

    SUCCEEDED = "SUCCEEDED"
    """The execution has succeeded."""
    FAILED = "FAILED"
    """The execution has failed."""
    PENDING = "PENDING"
    """The execution is suspended; another invocation follows."""
    RAISED = "RAISED"
    """The invocation itself has failed; Lambda may invoke again."""

    @property
    def is_terminal(self) -> bool:
        """Tell whether the execution has ended with this invocation."""
        return self in (InvocationStatus.SUCCEEDED, InvocationStatus.FAILED)


class UserFunctionOutcome(StrEnum):
    """How a run of a body ended."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    SUSPENDED = "SUSPENDED"
    """It was cut because the invocation was suspended; it will run again."""
    CANCELLED = "CANCELLED"
    """It was cut because what it was part of had been decided without it, or the invocation was ending."""


@dataclass(frozen=True, slots=True)
class OperationInfo:
    """An operation at the moment of a hook. Instants are epoch milliseconds, on the service's clock."""

    execution_arn: str
    id: str
    type: OperationType
    sub_type: str | None
    name: str | None
    parent_id: str | None
    """The id of the context it belongs to; None at the top."""
    status: OperationStatus
    attempt: int | None
    """Of a step, the attempt that runs or has ended last, from 1; None for everything else."""
    is_replayed: bool
    """Whether an earlier invocation had recorded it."""
    started_at: int
    ended_at: int | None
    error: ErrorObject | None
    """What is recorded of its failure, or of a step's latest failed attempt."""


@dataclass(frozen=True, slots=True)
class InvocationInfo:
    """An invocation when it begins."""

    execution_arn: str
    request_id: str | None
    """Lambda's id of the invocation; None where there is no Lambda context."""
    is_first: bool
    """Whether nothing had been recorded yet, but the execution itself."""
    operation_count: int
    """How many operations are recorded, without the execution itself."""
    updated_operations: tuple[OperationInfo, ...]
    """What timers and the outside world have changed since the previous invocation."""
    execution_started_at: int
    """When the execution started, in epoch milliseconds."""


@dataclass(frozen=True, slots=True)
class InvocationEndInfo(InvocationInfo):
    """An invocation when it ends; ``operation_count`` is the count by then."""

    status: InvocationStatus
    ended_at: int
    """In epoch milliseconds."""
    error: ErrorObject | None
    """Why the execution or the invocation has failed; None also where the end was recorded as an update."""


@dataclass(frozen=True, slots=True)
class UserFunctionInfo:
    """A run of a body when it begins."""

    execution_arn: str
    id: str
    """The id of the operation whose body it is."""
    type: OperationType
    sub_type: str | None
    name: str | None
    parent_id: str | None
    attempt: int | None
    """Of a step, which attempt this is, from 1; None for the body of a context."""
    is_replayed: bool
    """Whether an earlier invocation had recorded the operation."""
    is_replaying_children: bool
    """Whether the body of a context runs again over operations that are recorded; False for steps."""
    started_at: int
    """In epoch milliseconds."""


@dataclass(frozen=True, slots=True)
class UserFunctionEndInfo(UserFunctionInfo):
    """A run of a body when it ends."""

    ended_at: int
    outcome: UserFunctionOutcome
    error: Exception | None
    """What the body raised, if it failed."""


class Plugin:
    """A base for plugins: override what you need. A plugin need not inherit from it."""

    def on_invocation_start(self, info: InvocationInfo) -> None:
        """Take notice that an invocation begins, before the handler runs."""

    def on_invocation_end(self, info: InvocationEndInfo) -> None:
        """Take notice that an invocation has ended, before its answer is given."""

    def on_operation_start(self, info: OperationInfo) -> None:
        """Take notice that an operation is started for the first time."""

    def on_operation_replay(self, info: OperationInfo) -> None:
        """Take notice that the program has come to an operation that was started before and has not ended."""

    def on_operation_change(self, info: OperationInfo) -> None:
        """Take notice that an operation has moved on without ending."""

    def on_operation_end(self, info: OperationInfo) -> None:
        """Take notice that an operation has ended."""

    def on_user_function_start(self, info: UserFunctionInfo) -> None:
        """Take notice that a body is about to run; called in its task."""

    def on_user_function_end(self, info: UserFunctionEndInfo) -> None:
        """Take notice that a body has ended or was cut; called in its task."""


PluginFactory: TypeAlias = Callable[[InvocationInfo], object]
"""``create_plugin(info) -> plugin``: makes the plugin of one invocation."""

_loaded: dict[str, tuple[PluginFactory, ...]] = {}


def environment_plugins() -> tuple[PluginFactory, ...]:
    """Return the factories that ``DURABLE_TRIO_PLUGINS`` names: entry points, separated by commas.

    Only the names of installed entry points of the group ``durable_trio.plugins`` count; a module or a path in
    the variable is never imported. Without the variable nothing is looked up, so that an installed package
    does not start to watch because it is there. Loaded once per process.

    Raises:
        ConfigurationError: there is no such entry point, or it cannot be loaded.
    """
    text = os.environ.get(ENVIRONMENT_VARIABLE)
    if not text:
        return ()
    if text not in _loaded:
        names = dict.fromkeys(name.strip() for name in text.split(","))
        _loaded[text] = tuple(_entry_point(name) for name in names if name)
    return _loaded[text]


def _entry_point(name: str) -> PluginFactory:
    from importlib.metadata import entry_points  # costs cold start

    found = entry_points(group=ENTRY_POINT_GROUP)
    if name not in found.names:
        raise ConfigurationError(
            f"{ENVIRONMENT_VARIABLE} names {name!r}, and no installed package has such an entry point in the group"
            f" {ENTRY_POINT_GROUP!r}; there are: {', '.join(sorted(found.names)) or 'none'}"
        )
    try:
        factory = found[name].load()
    except Exception as error:
        raise ConfigurationError(
            f"the plugin {name!r}, which {ENVIRONMENT_VARIABLE} names, cannot be loaded: {error!r}"
        ) from error
    if not callable(factory):
        raise ConfigurationError(
            f"the plugin {name!r} must be a function create_plugin(info), not {factory!r}"
        )
    return factory  # type: ignore[no-any-return]  # what it takes and returns cannot be checked
