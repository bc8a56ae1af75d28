"""The floor: bare Trio that speaks the protocol, and does only what no implementation can avoid.

It has no errors, no validation, no options: ids, updates in order, one writer that owns the token and sends as
soon as somebody waits, a task per item. Every update is encoded once, because a request must not exceed the
service's bytes. Its numbers are what the others' are divided by.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Any

import trio

from benchmarks.line import Line
from benchmarks.measuring import Handler
from benchmarks.stub import MOST_UPDATES, Members
from benchmarks.work import FORTY_CHARACTERS, Workload

IMPORT = "import trio"
_MOST_BYTES = 768_000


class _Suspended(BaseException):
    """Everything is parked."""


def _id(prefix: str | None, position: int) -> str:
    place = f"{prefix}-{position}" if prefix is not None else str(position)
    return blake2b(place.encode()).hexdigest()[:64]


class _Run:
    """One invocation: the queue, the writer, and what is known of earlier invocations."""

    def __init__(self, line: Line, event: Members) -> None:
        self.line = line
        self.token = event["CheckpointToken"]
        self.arn = event["DurableExecutionArn"]
        self.known: dict[str, Members] = {o["Id"]: o for o in event["InitialExecutionState"]["Operations"]}
        self.queue: deque[tuple[Members, int]] = deque()
        self.waiters: list[tuple[int, trio.lowlevel.Task]] = []
        self.wanted = trio.Event()
        self.queued = 0
        self.sent = 0
        self.running = 1
        self.is_sending = False
        self.callbacks: dict[str, str] = {}
        self.scope = trio.CancelScope()

    def put(self, update: Members) -> None:
        self.queue.append((update, len(json.dumps(update).encode())))
        self.queued += 1

    async def commit(self, update: Members) -> None:
        self.put(update)
        self.waiters.append((self.queued, trio.lowlevel.current_task()))
        self.wanted.set()
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.SUCCEEDED)

    async def park(self) -> None:
        self.running -= 1
        if self.running == 0 and not self.queue and not self.is_sending:
            self.scope.cancel()
        await trio.sleep_forever()

    async def read_pages(self, marker: str) -> None:
        while marker:
            await trio.sleep(self.line.latency_seconds)
            page = self.line.service.page(marker, 1000)
            for operation in page["Operations"]:
                self.known[operation["Id"]] = operation
            marker = page.get("NextMarker", "")

    def take(self) -> list[Members]:
        batch: list[Members] = []
        size = 0
        while self.queue and len(batch) < MOST_UPDATES and size + self.queue[0][1] <= _MOST_BYTES:
            update, length = self.queue.popleft()
            batch.append(update)
            size += length
        return batch

    async def write(self) -> None:
        service = self.line.service
        while True:
            await self.wanted.wait()
            self.wanted = trio.Event()
            await trio.lowlevel.checkpoint()
            while self.queue:
                batch = self.take()
                request = {
                    "DurableExecutionArn": self.arn,
                    "CheckpointToken": self.token,
                    "Updates": batch,
                    "ClientToken": "c",
                }
                self.is_sending = True
                service.receive(request)
                await trio.sleep(self.line.latency_seconds)
                answer = service.answer(request)
                self.is_sending = False
                self.token = answer["CheckpointToken"]
                for operation in answer["NewExecutionState"]["Operations"]:
                    self.known[operation["Id"]] = operation
                self.sent += len(batch)
                woken = 0
                for number, task in self.waiters:
                    if number > self.sent:
                        break
                    woken += 1
                    trio.lowlevel.reschedule(task)
                del self.waiters[:woken]
            if self.running == 0:
                self.scope.cancel()


class _Context:
    __slots__ = ("parent_id", "position", "run")

    def __init__(self, run: _Run, parent_id: str | None) -> None:
        self.run = run
        self.parent_id = parent_id
        self.position = 0

    def next(self, type_: str, sub_type: str, name: str) -> tuple[str, Members]:
        self.position += 1
        id_ = _id(self.parent_id, self.position)
        update: Members = {"Id": id_, "Type": type_, "SubType": sub_type, "Name": name, "Action": "START"}
        if self.parent_id is not None:
            update["ParentId"] = self.parent_id
        return id_, update

    async def step(self, body: Callable[..., Awaitable[Any]], value: Any) -> Any:
        id_, update = self.next("STEP", "Step", "give")
        known = self.run.known.get(id_)
        if known is not None:
            return json.loads(known["StepDetails"]["Result"])
        self.run.put(update)
        text = json.dumps(await body(value))
        await self.run.commit({**update, "Action": "SUCCEED", "Payload": text})
        return json.loads(text)

    async def wait(self, seconds: int) -> None:
        id_, update = self.next("WAIT", "Wait", "wait")
        known = self.run.known.get(id_)
        if known is None:
            await self.run.commit({**update, "WaitOptions": {"WaitSeconds": seconds}})
        elif known["Status"] != "STARTED":
            return
        await self.run.park()

    async def callback(self) -> None:
        _, update = self.next("CALLBACK", "Callback", "callback")
        await self.run.commit(update)
        await self.run.park()

    async def map(
        self, count: int, item: Callable[[_Context, int], Awaitable[Any]], limit: int | None
    ) -> Any:
        map_id, update = self.next("CONTEXT", "Map", "map")
        run = self.run
        known = run.known.get(map_id)
        if (
            known is not None
            and known["Status"] != "STARTED"
            and not known["ContextDetails"].get("ReplayChildren")
        ):
            return json.loads(known["ContextDetails"]["Result"])
        is_new = known is None
        if is_new:
            run.put(update)
        results: list[Any] = [None] * count
        slots = trio.Semaphore(limit) if limit else None
        left = [count]

        async def actor(index: int) -> None:
            id_ = _id(map_id, index)
            recorded = run.known.get(id_)
            start = {
                "Id": id_, "Type": "CONTEXT", "SubType": "MapIteration", "Name": f"map-item-{index}",
                "Action": "START", "ParentId": map_id,
            }  # fmt: skip
            if recorded is None:
                run.put(start)
            results[index] = await item(_Context(run, id_), index)
            run.put({**start, "Action": "SUCCEED", "Payload": json.dumps(results[index])})
            left[0] -= 1
            if left[0]:  # the last one hands its place to the map, which goes on
                run.running -= 1
            if slots is not None:
                slots.release()

        if known is not None and known["Status"] != "STARTED":
            return [json.loads(run.known[_id(map_id, i)]["ContextDetails"]["Result"]) for i in range(count)]
        async with trio.open_nursery() as nursery:
            for index in range(count):
                if slots is not None:
                    await slots.acquire()
                run.running += 1
                nursery.start_soon(actor, index)
            run.running -= 1
        text = json.dumps(results)
        end: Members = {**update, "Action": "SUCCEED", "Payload": text}
        if len(text) > 262_144:
            end |= {"Payload": "", "ContextOptions": {"ReplayChildren": True}}
        await run.commit(end)
        return results

    async def child(self, position: int, body: Callable[[_Context], Awaitable[Any]], parent_id: str) -> Any:
        id_ = _id(parent_id, position)
        start = {
            "Id": id_, "Type": "CONTEXT", "SubType": "ParallelBranch", "Name": f"parallel-branch-{position}",
            "Action": "START", "ParentId": parent_id,
        }  # fmt: skip
        self.run.put(start)
        result = await body(_Context(self.run, id_))
        self.run.put({**start, "Action": "SUCCEED", "Payload": json.dumps(result)})
        return result


def prepare(workload: Workload, line: Line) -> Handler:
    """Return the handler for *workload*."""
    program = _PROGRAMS[workload.kind]

    async def main(event: Members) -> Members:
        run = _Run(line, event)
        answer: Members = {"Status": "PENDING"}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.write)
            await run.read_pages(event["InitialExecutionState"]["NextMarker"])
            with run.scope:
                result = await program(workload, _Context(run, None))
                answer = {"Status": "SUCCEEDED", "Result": json.dumps(result)}
            nursery.cancel_scope.cancel()
        return answer

    return lambda event, _: trio.run(main, event)


async def _give(value: Any) -> Any:
    return value


async def _steps(workload: Workload, ctx: _Context) -> None:
    for number in range(workload.count):
        await ctx.step(_give, number)


async def _map(workload: Workload, ctx: _Context) -> int:
    async def body(value: int) -> int:
        await trio.sleep(workload.sleep_ms / 1000)
        return value

    async def item(inner: _Context, index: int) -> Any:
        return await inner.step(body if workload.sleep_ms else _give, index)

    return len(await ctx.map(workload.count, item, workload.limit))


async def _replay_steps(workload: Workload, ctx: _Context) -> None:
    await _steps(workload, ctx)
    await ctx.wait(1)
    await ctx.step(_give, "new")


async def _replay_map(workload: Workload, ctx: _Context) -> int:
    async def item(inner: _Context, index: int) -> Any:
        return await inner.step(_give, FORTY_CHARACTERS)

    results = await ctx.map(workload.count, item, None)
    await ctx.wait(1)
    await ctx.step(_give, "new")
    return len(results)


async def _suspend(workload: Workload, ctx: _Context) -> None:
    await ctx.wait(86_400)


async def _nested(workload: Workload, ctx: _Context) -> Any:
    async def item(inner: _Context, index: int) -> Any:
        return await inner.step(_give, await inner.step(_give, index))

    async def branch(inner: _Context) -> int:
        return len(await inner.map(workload.count, item, None))

    id_, update = ctx.next("CONTEXT", "Parallel", "parallel")
    ctx.run.put(update)
    results = [0] * 10

    async def actor(index: int) -> None:
        results[index] = await ctx.child(index, branch, id_)

    async with trio.open_nursery() as nursery:
        for index in range(10):
            nursery.start_soon(actor, index)
    await ctx.run.commit({**update, "Action": "SUCCEED", "Payload": json.dumps(results)})
    return results


async def _resume(workload: Workload, ctx: _Context) -> int:
    async def item(inner: _Context, index: int) -> Any:
        first = await inner.step(_give, index)
        await inner.wait(1)
        return await inner.step(_give, first)

    return len(await ctx.map(workload.count, item, None))


async def _parked(workload: Workload, ctx: _Context) -> int:
    async def item(inner: _Context, index: int) -> Any:
        return await inner.callback()

    return len(await ctx.map(workload.count, item, None))


_PROGRAMS: dict[str, Callable[[Workload, _Context], Awaitable[Any]]] = {
    "steps": _steps,
    "map": _map,
    "replay_steps": _replay_steps,
    "replay_map": _replay_map,
    "suspend": _suspend,
    "nested": _nested,
    "resume": _resume,
    "parked": _parked,
}
