"""The plugins of one invocation, and what they are told.

There is a host only where there are plugins. The places that have news ask for it (``invocation.plugins``,
``writer.plugins``) and go on if it is None.

Two kinds of news reach the host. Bodies and replays are told where they happen. How operations stand is told
by the writer, which sees every update on its way out and every record that comes back: the host remembers the
status that plugins know of each operation, so an end is told once however often the service repeats it.
"""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from durable_trio._protocol.envelope import Failed, Succeeded
from durable_trio._protocol.operation import (
    ErrorObject,
    OperationAction,
    OperationStatus,
    OperationType,
    StepDetails,
)
from durable_trio.plugins import (
    InvocationEndInfo,
    InvocationInfo,
    InvocationStatus,
    OperationInfo,
    Plugin,
    UserFunctionEndInfo,
    UserFunctionInfo,
    UserFunctionOutcome,
    environment_plugins,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from durable_trio._protocol.envelope import Outcome
    from durable_trio._protocol.operation import OperationRecord, OperationUpdate
    from durable_trio._protocol.replay import Identity
    from durable_trio._runtime.invocation import Invocation
    from durable_trio.plugins import PluginFactory

_HOOKS: Final = tuple(name for name in vars(Plugin) if name.startswith("on_"))


async def run_observed(invocation: Invocation, run: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """Run an invocation under the eyes of its plugins; return or raise what it does.

    Raises:
        ConfigurationError: the environment names a plugin that cannot be loaded.
    """
    host = PluginHost(invocation, [*invocation.options.plugins, *environment_plugins()])
    invocation.plugins = invocation.writer.plugins = host
    host.invocation_started()
    try:
        outcome = await run()
    except BaseException as error:
        host.invocation_ended(InvocationStatus.RAISED, ErrorObject(str(error), type(error).__name__))
        raise
    match outcome:
        case Succeeded():
            host.invocation_ended(InvocationStatus.SUCCEEDED, None)
        case Failed(error=recorded):
            host.invocation_ended(InvocationStatus.FAILED, recorded)
        case _:
            host.invocation_ended(InvocationStatus.PENDING, None)
    return outcome


class PluginHost:
    """Tells the plugins of one invocation what happens in it; nothing they raise gets out."""

    def __init__(self, invocation: Invocation, factories: Iterable[PluginFactory]) -> None:
        self._invocation = invocation
        self._state = invocation.state
        self._arn = invocation.state.durable_execution_arn
        self._failed: set[str] = set()
        # As plugins know them: of operations that have ended between the invocations, nothing yet.
        self._before = frozenset(record.id for record in self._records())
        self._met: set[str] = set()
        self._known: dict[str, OperationStatus] = {
            record.id: record.status for record in self._records() if not self._state.was_updated(record.id)
        }
        self._info = self._invocation_info()
        self._hooks: dict[str, list[Callable[[Any], object]]] = {name: [] for name in _HOOKS}
        for factory in factories:
            self._add(factory)

    def _records(self) -> list[OperationRecord]:
        return [record for record in self._state.records() if record.type is not OperationType.EXECUTION]

    def _add(self, factory: PluginFactory) -> None:
        try:
            plugin = factory(self._info)
        except Exception as error:  # noqa: BLE001  # a plugin changes nothing, not even by its absence
            self._invocation.log.error(
                "a plugin could not be created", plugin=repr(factory), error=repr(error)
            )
            return
        for name in _HOOKS:
            hook = getattr(plugin, name, None)
            if hook is None or getattr(type(plugin), name, None) is getattr(Plugin, name):
                continue
            if inspect.iscoroutinefunction(hook) or not callable(hook):
                self._invocation.log.error(
                    "a hook of a plugin must be a plain function; it is not called",
                    hook=name,
                    plugin=repr(plugin),
                )
                continue
            self._hooks[name].append(hook)

    def _tell(self, name: str, info: object) -> None:
        for position, hook in enumerate(self._hooks[name]):
            try:
                hook(info)
            except Exception as error:  # noqa: BLE001  # a plugin changes nothing
                self._report(f"{name} {position}", name, hook, error)

    def _report(self, key: str, name: str, hook: object, error: Exception) -> None:
        # Once: a hook that always fails would write a line per operation.
        if key not in self._failed:
            self._failed.add(key)
            plugin = getattr(hook, "__self__", hook)
            self._invocation.log.error(
                "a plugin failed", hook=name, plugin=repr(plugin), error=repr(error), exc_info=error
            )

    # --- the invocation -----------------------------------------------------------------------------------

    def invocation_started(self) -> None:
        """Tell that the invocation begins, and what has happened since the one before."""
        self._tell("on_invocation_start", self._info)
        self.operations_changed(info.id for info in self._info.updated_operations)

    def invocation_ended(self, status: InvocationStatus, error: ErrorObject | None) -> None:
        """Tell that the invocation has ended."""
        if self._hooks["on_invocation_end"]:
            start = self._info
            info = InvocationEndInfo(
                start.execution_arn,
                start.request_id,
                start.is_first,
                len(self._records()),
                start.updated_operations,
                start.execution_started_at,
                status,
                self._invocation.clock.now(),
                error,
            )
            self._tell("on_invocation_end", info)

    def _invocation_info(self) -> InvocationInfo:
        records = self._records()
        execution = self._state.execution
        return InvocationInfo(
            execution_arn=self._arn,
            request_id=getattr(self._invocation.lambda_context, "aws_request_id", None),
            is_first=not records,
            operation_count=len(records),
            updated_operations=tuple(
                self._operation_info(record) for record in records if self._state.was_updated(record.id)
            ),
            execution_started_at=0 if execution is None else execution.started_at,
        )

    # --- operations ---------------------------------------------------------------------------------------

    def update_queued(self, update: OperationUpdate) -> None:
        """Tell that an operation is started, if *update* is its first START."""
        if (
            update.action is not OperationAction.START
            or update.type is OperationType.EXECUTION
            or update.id in self._known
            or update.id in self._before
        ):
            return
        self._known[update.id] = OperationStatus.STARTED
        if self._hooks["on_operation_start"]:
            info = OperationInfo(
                execution_arn=self._arn,
                id=update.id,
                type=update.type,
                sub_type=update.sub_type,
                name=update.name,
                parent_id=update.parent_id,
                status=OperationStatus.STARTED,
                attempt=1 if update.type is OperationType.STEP else None,
                is_replayed=False,
                started_at=self._invocation.clock.now(),
                ended_at=None,
                error=None,
            )
            self._tell("on_operation_start", info)

    def operations_changed(self, ids: Iterable[str]) -> None:
        """Tell how operations stand whose records may have changed."""
        for id_ in ids:
            record = self._state.get(id_)
            if record is None or record.type is OperationType.EXECUTION:
                continue
            known = self._known.get(id_)
            if known is record.status or (known is not None and known.is_terminal):
                continue
            self._known[id_] = record.status
            if record.status.is_terminal:
                self._tell("on_operation_end", self._operation_info(record))
            elif known is not None or record.status is not OperationStatus.STARTED:
                self._tell("on_operation_change", self._operation_info(record))

    def operation_met(self, record: OperationRecord) -> None:
        """Tell that the program has reached an operation that is recorded and has not ended, the first time."""
        if record.id in self._before and record.id not in self._met:
            self._met.add(record.id)
            self._tell("on_operation_replay", self._operation_info(record))

    def _operation_info(self, record: OperationRecord) -> OperationInfo:
        return OperationInfo(
            execution_arn=self._arn,
            id=record.id,
            type=record.type,
            sub_type=record.sub_type,
            name=record.name,
            parent_id=record.parent_id,
            status=record.status,
            attempt=_attempt(record),
            is_replayed=record.id in self._before,
            started_at=record.started_at,
            ended_at=record.ended_at,
            error=None
            if record.status is OperationStatus.SUCCEEDED
            else getattr(record.details, "error", None),
        )

    # --- bodies -------------------------------------------------------------------------------------------

    @contextmanager
    def user_function(
        self, identity: Identity, *, attempt: int | None = None, is_replaying_children: bool = False
    ) -> Iterator[None]:
        """Tell that the body of an operation runs inside this block, which is in the body's task."""
        now = self._invocation.clock.now
        start = UserFunctionInfo(
            execution_arn=self._arn,
            id=identity.id,
            type=identity.type,
            sub_type=identity.sub_type,
            name=identity.name,
            parent_id=identity.parent_id,
            attempt=attempt,
            is_replayed=identity.id in self._before,
            is_replaying_children=is_replaying_children,
            started_at=now(),
        )
        self._tell("on_user_function_start", start)
        outcome, failure = UserFunctionOutcome.SUCCEEDED, None
        try:
            yield
        except Exception as error:
            outcome, failure = UserFunctionOutcome.FAILED, error
            raise
        except BaseException:
            is_suspended = self._invocation.supervisor.is_suspended
            outcome = UserFunctionOutcome.SUSPENDED if is_suspended else UserFunctionOutcome.CANCELLED
            raise
        finally:
            end = UserFunctionEndInfo(
                start.execution_arn,
                start.id,
                start.type,
                start.sub_type,
                start.name,
                start.parent_id,
                start.attempt,
                start.is_replayed,
                start.is_replaying_children,
                start.started_at,
                now(),
                outcome,
                failure,
            )
            self._tell("on_user_function_end", end)


def _attempt(record: OperationRecord) -> int | None:
    if record.type is not OperationType.STEP:
        return None
    finished = record.details.attempt if isinstance(record.details, StepDetails) else 0
    is_open = record.status in (OperationStatus.STARTED, OperationStatus.READY)
    return finished + 1 if is_open else max(1, finished)
