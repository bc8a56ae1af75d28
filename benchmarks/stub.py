"""A durable execution service that records: what every subject talks to while it is measured.

It speaks the members of the service's API as plain dictionaries, keeps one execution, and answers at once; a
subject adds the latency in its own kind of sleep. A run is *void* (``Void``) when a subject breaks the protocol:

- a checkpoint token that is not the last one given out,
- two checkpoint calls that overlap,
- an operation that is started twice, finished twice, or changed after its end,
- more updates in a request than the service takes.

As at AWS's service, an answer holds every operation that the request changed, and the waits that have ended.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

ARN: Final = (
    "arn:aws:lambda:us-east-1:123456789012:function:bench:$LATEST/durable-execution/bench/0123456789abcdef"
)
MOST_UPDATES: Final = 250  # what AWS's SDKs put into one request
_ENDS: Final = {"SUCCEED": "SUCCEEDED", "FAIL": "FAILED", "CANCEL": "CANCELLED"}
_DETAILS: Final = {
    "STEP": "StepDetails",
    "CONTEXT": "ContextDetails",
    "WAIT": "WaitDetails",
    "CALLBACK": "CallbackDetails",
    "CHAINED_INVOKE": "ChainedInvokeDetails",
}

Members = dict[str, Any]


class Void(Exception):
    """The subject broke the protocol: its time means nothing."""


class Service:
    """One execution at a service.

    Args:
        keep: keep the operations, so that another invocation can replay them.
        audit: count the bytes of the requests, which costs time.

    Attributes:
        calls: how many checkpoint calls were made.
        reads: how many pages of the state were read.
        updates: how many operation updates the calls held.
        sent_bytes: how many bytes of JSON the calls were; 0 unless *audit*.
        finished: how many operations of each type succeeded.
    """

    def __init__(self, *, keep: bool = False, audit: bool = False) -> None:
        self.calls = 0
        self.reads = 0
        self.updates = 0
        self.sent_bytes = 0
        self.finished: dict[str, int] = {}
        self._keep = keep
        self._audit = audit
        self._token = 0
        self._in_flight = False
        self._open: dict[str, bool] = {}
        self._records: dict[str, Members] = {}
        self._waits: dict[str, Members] = {}
        self._visible: list[Members] = []

    # --- a checkpoint is two halves, with the latency between them ----------------------------------------

    def receive(self, request: Members) -> None:
        """Take a checkpoint request in.

        Raises:
            Void: the subject broke the protocol.
        """
        if self._in_flight:
            raise Void("two checkpoint calls overlap")
        if request["CheckpointToken"] != self.token:
            raise Void(f"stale token {request['CheckpointToken']!r}, not {self.token!r}")
        self._in_flight = True
        updates = request.get("Updates") or []
        if len(updates) > MOST_UPDATES:
            raise Void(f"{len(updates)} updates in one request")
        self.calls += 1
        self.updates += len(updates)
        if self._audit:
            self.sent_bytes += len(json.dumps(request, separators=(",", ":")).encode())

    def answer(self, request: Members) -> Members:
        """Apply the request, and answer it.

        Raises:
            Void: the subject broke the protocol.
        """
        told: list[Members] = []
        for update in request.get("Updates") or ():
            self._apply(update, told)
        if self._waits:
            told.extend(self._end_waits(datetime.now(UTC)))
        self._token += 1
        self._in_flight = False
        return {"CheckpointToken": self.token, "NewExecutionState": {"Operations": told}}

    @property
    def token(self) -> str:
        """The one checkpoint token that is valid."""
        return f"token{self._token:08d}"

    def _apply(self, update: Members, told: list[Members]) -> None:
        id_, type_, action = update["Id"], update["Type"], update["Action"]
        is_open = self._open.get(id_)
        is_start = action == "START"
        if is_start:
            if is_open is not None:
                raise Void(f"{type_} {id_[:8]} was started twice")
        elif is_open is False:
            raise Void(f"{type_} {id_[:8]} was changed after its end")
        else:
            self.finished[type_] = self.finished.get(type_, 0) + 1
        self._open[id_] = is_start
        if type_ != "EXECUTION":
            told.append(self._record(update))

    def _record(self, update: Members) -> Members:
        id_, type_, action = update["Id"], update["Type"], update["Action"]
        now = datetime.now(UTC)
        known = self._records.get(id_)
        record: Members = dict(known) if known else {"Id": id_, "Type": type_, "StartTimestamp": now}
        record["Status"] = "STARTED" if action == "START" else _ENDS[action]
        for member in ("ParentId", "Name", "SubType"):
            if member in update:
                record[member] = update[member]
        if action != "START":
            record["EndTimestamp"] = now
        details = record[_DETAILS[type_]] = dict(record.get(_DETAILS[type_]) or {})
        if type_ == "CALLBACK" and action == "START":
            details["CallbackId"] = base64.b64encode(id_.encode()).decode()
        elif type_ == "WAIT" and action == "START":
            details["ScheduledEndTimestamp"] = now + timedelta(seconds=update["WaitOptions"]["WaitSeconds"])
            self._waits[id_] = record
        elif "Payload" in update:
            details["Result"] = update["Payload"]
        if type_ == "STEP":
            details["Attempt"] = 1
        if type_ == "CONTEXT" and update.get("ContextOptions", {}).get("ReplayChildren"):
            details["ReplayChildren"] = True
        if self._keep:
            self._records[id_] = record
        return record

    def _end_waits(self, now: datetime) -> list[Members]:
        due = [r for r in self._waits.values() if r["WaitDetails"]["ScheduledEndTimestamp"] <= now]
        for record in due:
            record["Status"] = "SUCCEEDED"
            record["EndTimestamp"] = record["WaitDetails"]["ScheduledEndTimestamp"]
            self._open[record["Id"]] = False
            del self._waits[record["Id"]]
        return due

    # --- the next invocation ------------------------------------------------------------------------------

    def skip_waits(self) -> None:
        """Let every wait come to its end, as if its time were over."""
        self._end_waits(datetime.max.replace(tzinfo=UTC))

    def event(self, payload: str = "{}", *, first_page: int = 1000) -> Members:
        """Return the event that invokes the function: the execution, and the first page of the state.

        Instants in an event are whole milliseconds; in the API's answers they are what boto3 makes of them. What is inside a finished
        context is left out, unless the context asked for its children.
        """
        closed = {
            id_
            for id_, record in self._records.items()
            if record["Type"] == "CONTEXT"
            and record["Status"] != "STARTED"
            and not record["ContextDetails"].get("ReplayChildren")
        }
        self._visible = [
            record
            for record in self._records.values()
            if record["Type"] != "EXECUTION" and not self._is_inside(record, closed)
        ]
        execution = {
            "Id": ARN.rpartition("/")[2],
            "Type": "EXECUTION",
            "Status": "STARTED",
            "StartTimestamp": _milliseconds(datetime.now(UTC)),
            "ExecutionDetails": {"InputPayload": payload},
        }
        known = [_in_milliseconds(operation) for operation in self._visible[:first_page]]
        marker = str(first_page) if len(self._visible) > first_page else ""
        return {
            "DurableExecutionArn": ARN,
            "CheckpointToken": self.token,
            "InitialExecutionState": {"Operations": [execution, *known], "NextMarker": marker},
        }

    def _is_inside(self, record: Members, closed: set[str]) -> bool:
        parent = record.get("ParentId")
        while parent is not None:
            if parent in closed:
                return True
            above = self._records.get(parent)
            parent = above.get("ParentId") if above else None
        return False

    def page(self, marker: str, size: int) -> Members:
        """Return the page of the state that starts at *marker*."""
        self.reads += 1
        start = int(marker or 0)
        following = start + size
        answer: Members = {"Operations": self._visible[start:following]}
        if following < len(self._visible):
            answer["NextMarker"] = str(following)
        return answer


def _in_milliseconds(operation: Members) -> Members:
    changed = dict(operation)
    for member in ("StartTimestamp", "EndTimestamp"):
        if member in changed:
            changed[member] = _milliseconds(changed[member])
    if "WaitDetails" in changed:
        scheduled = changed["WaitDetails"]["ScheduledEndTimestamp"]
        changed["WaitDetails"] = {"ScheduledEndTimestamp": _milliseconds(scheduled)}
    return changed


def _milliseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)
