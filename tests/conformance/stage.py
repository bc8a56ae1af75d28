"""A requirement's execution on the local service, with the outside world that the requirement describes."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio
import yaml
from conformance.handlers import HANDLERS, TARGETS
from conformance.judge import Complaints, Names, judge_history, judge_log, judge_result

from durable_trio import ErrorObject
from durable_trio._protocol.wire import Dialect, decode_error
from durable_trio.local import LocalService, encode_event, open_local_service

PATIENCE_SECONDS = 3600.0


def data_folder() -> Path:
    """Return where the requirements are, or should be: one YAML file each, in a folder per suite."""
    beside = Path(__file__).parents[3] / "shared" / "conformance"
    return Path(os.environ.get("DURABLE_TRIO_CONFORMANCE", beside)) / "requirements"


@dataclass(frozen=True)
class Performance:
    """What an execution left behind; events are as they are on the wire."""

    arn: str
    status: str
    result: str | None
    events: list[dict[str, Any]]


class Requirement:
    """One requirement: what to start, what to answer, and what has to come of it."""

    def __init__(self, id_: str, data: dict[str, Any]) -> None:
        self.id = id_
        self.names = Names(data.get("Variables"))
        self.input = self.names.fill_in(data.get("Input"))
        self.callback_actions: list[dict[str, Any]] = self.names.fill_in(data.get("CallbackActions", []))
        self._data = data

    @classmethod
    def load(cls, path: Path) -> Requirement:
        """Read a requirement from its file."""
        return cls(path.stem, yaml.safe_load(path.read_text(encoding="utf-8")))

    @property
    def is_history_only(self) -> bool:
        """Whether it is met as soon as its events have appeared."""
        return "ExpectedResult" not in self._data

    def has_appeared(self, events: list[dict[str, Any]]) -> bool:
        """Tell whether the history is as demanded so far; binds no names."""
        names = Names(self._data.get("Variables"))
        return not judge_history(self._data["ExpectedExecutionHistory"], events, names)

    def judge(self, performance: Performance, output: str) -> Complaints:
        """Return what is wrong with an execution that printed *output*."""
        complaints = judge_history(
            self._data["ExpectedExecutionHistory"], performance.events, self.names
        ) + judge_log(self._data.get("ExpectedLogs", []), output, performance.arn, self.names)
        if not self.is_history_only:
            expected = self._data["ExpectedResult"]
            complaints += judge_result(expected, performance.status, performance.result, self.names)
        return complaints


async def perform(requirement: Requirement) -> Performance:
    """Run the handler of a requirement until its execution has ended, or its history is all that is asked for.

    Raises:
        trio.TooSlowError: an hour has passed, and nothing of the kind has happened.
    """
    with trio.fail_after(PATIENCE_SECONDS):
        async with open_local_service() as service, trio.open_nursery() as nursery:
            for name, target in (TARGETS | {requirement.id: HANDLERS[requirement.id]}).items():
                service.register(name, target.invoke)
            outside = Outside(service, requirement.callback_actions, nursery)
            started = await service.start_execution(requirement.id, json.dumps(requirement.input))
            performance = await _watch(service, started.arn, requirement, outside)
            nursery.cancel_scope.cancel()
    return performance


async def _watch(service: LocalService, arn: str, requirement: Requirement, outside: Outside) -> Performance:
    with service.subscribe(arn) as changes:
        while True:
            execution = await service.describe(arn)
            history = await service.history(arn, limit=1000)
            events = [encode_event(event, Dialect.API) for event in history.items]
            outside.look_at(events)
            is_over = execution.ended_at is not None and not execution.is_invoked
            if is_over or (requirement.is_history_only and requirement.has_appeared(events)):
                return Performance(arn, execution.status, execution.result, events)
            await changes.receive()


class Outside:
    """The outside world: answers each callback, by its name, with the requirement's actions in their order.

    A callback of ``wait_for_callback`` also goes by the name of the whole operation. A heartbeat leaves it open for
    the next action.
    """

    def __init__(self, service: LocalService, actions: list[dict[str, Any]], nursery: trio.Nursery) -> None:
        self._service = service
        self._actions = list(actions)
        self._is_silent = not actions
        self._nursery = nursery
        self._seen: set[str] = set()

    def look_at(self, events: list[dict[str, Any]]) -> None:
        """Take care of the callbacks that are new in the history."""
        contexts = {event["Id"]: event for event in events if event.get("SubType") == "WaitForCallback"}
        for event in events:
            if event["EventType"] != "CallbackStarted" or event["Id"] in self._seen or self._is_silent:
                continue
            self._seen.add(event["Id"])
            around = contexts.get(event.get("ParentId"), {})
            known_as = {event.get("Name", ""), around.get("Name", "")}
            callback_id = event["CallbackStartedDetails"]["CallbackId"]
            # Taken here: which of two callbacks gets the first action must not depend on the scheduler.
            self._nursery.start_soon(self._answer, callback_id, known_as, self._take(known_as))

    async def _answer(self, callback_id: str, known_as: set[str], action: dict[str, Any]) -> None:
        while True:
            payload = action.get("Payload")
            await trio.sleep(action.get("Delay", 0))
            match action["Operation"]:
                case "heartbeat":
                    await self._service.callback_heartbeat(callback_id)
                    action = self._take(known_as)
                case "success":
                    result = None if payload is None else json.dumps(payload)
                    return await self._service.callback_succeed(callback_id, result)
                case "failure":
                    error = decode_error(payload) or ErrorObject()
                    return await self._service.callback_fail(callback_id, error)
                case other:
                    raise AssertionError(f"nobody knows how to {other} a callback")

    def _take(self, known_as: set[str]) -> dict[str, Any]:
        for action in self._actions:
            if any(_is_meant(action["CallbackName"], name) for name in known_as):
                self._actions.remove(action)
                return action
        raise AssertionError(f"the requirement has no action left for the callback {known_as}")


def _is_meant(wanted: str, name: str) -> bool:
    regex = re.fullmatch(r"\$\{/(.+)/\}", wanted)
    return re.search(regex[1], name) is not None if regex else wanted in ("*", name)
