"""What a worker may say when, checked without a process."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from serve.calls import invocation
from trio.testing import wait_all_tasks_blocked

from durable_trio._protocol.operation import ErrorObject
from durable_trio.local.workers.conversation import (
    Answered,
    Conversation,
    Failed,
    Invocation,
    Outcome,
    OutOfTurn,
    Phase,
)

GONE = ErrorObject(message="gone", type="Runtime.ExitError")


class Scene:
    """A conversation, and what its two hooks were told."""

    def __init__(self) -> None:
        self.idle = 0
        self.answers = 0
        self.conversation = Conversation(on_idle=self._on_idle, on_answer=self._on_answer)
        self.given: list[Invocation] = []
        self.outcomes: list[Outcome] = []

    def _on_idle(self) -> None:
        self.idle += 1

    def _on_answer(self) -> None:
        self.answers += 1

    async def ask(self) -> None:
        """Ask for work."""
        self.given.append(await self.conversation.next())

    async def give(self, request_id: str) -> None:
        """Give work, and wait for the outcome."""
        self.outcomes.append(await self.conversation.give(invocation(None, request_id=request_id)()))


async def test_one_invocation_after_the_other(autojump_clock: object) -> None:
    """A worker asks, is given an invocation, answers it, and asks again."""
    scene = Scene()
    async with trio.open_nursery() as nursery:
        for request_id in ("a", "b"):
            nursery.start_soon(scene.ask)
            await wait_all_tasks_blocked()
            phases = [scene.conversation.phase]
            nursery.start_soon(scene.give, request_id)
            await wait_all_tasks_blocked()
            phases.append(scene.conversation.phase)
            scene.conversation.answer(request_id, Answered(request_id))
            phases.append(scene.conversation.phase)
            assert phases == [Phase.IDLE, Phase.BUSY, Phase.ANSWERED]

    assert [one.request_id for one in scene.given] == ["a", "b"]
    assert scene.outcomes == [Answered("a"), Answered("b")]
    assert (scene.idle, scene.answers) == (2, 2)


async def test_the_wrong_invocation_cannot_be_answered(autojump_clock: object) -> None:
    """Neither another one, nor the same one twice; the first answer counts."""
    scene = Scene()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.ask)
        await wait_all_tasks_blocked()
        with pytest.raises(OutOfTurn, match="'a' is not the invocation of this worker"):
            scene.conversation.answer("a", Answered("1"))
        nursery.start_soon(scene.give, "a")
        await wait_all_tasks_blocked()
        with pytest.raises(OutOfTurn, match="'b' is not the invocation of this worker") as raised:
            scene.conversation.answer("b", Answered("2"))
        assert raised.value.kind == "InvalidRequestID"
        scene.conversation.answer("a", Answered("3"))
        with pytest.raises(OutOfTurn, match="'a' has been answered already") as raised:
            scene.conversation.answer("a", Failed(GONE))
        assert raised.value.kind == "InvalidStateTransition"

    assert scene.outcomes == [Answered("3")]


async def test_a_worker_cannot_ask_twice(autojump_clock: object) -> None:
    """Not while it waits for work, and not while it has some."""
    scene = Scene()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.ask)
        await wait_all_tasks_blocked()
        with pytest.raises(OutOfTurn, match="next is not for a worker that is idle"):
            await scene.conversation.next()
        nursery.start_soon(scene.give, "a")
        await wait_all_tasks_blocked()
        with pytest.raises(OutOfTurn, match="next is not for a worker that is busy"):
            await scene.conversation.next()
        scene.conversation.answer("a", Answered("1"))


async def test_the_end_fails_what_is_under_way(autojump_clock: object) -> None:
    """The invocation that a worker has fails with the reason for its end; the first reason counts."""
    scene = Scene()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.ask)
        await wait_all_tasks_blocked()
        nursery.start_soon(scene.give, "a")
        await wait_all_tasks_blocked()
        scene.conversation.end(GONE)
        scene.conversation.end(ErrorObject(message="later"))

    assert scene.outcomes == [Failed(GONE)]
    assert await scene.conversation.give(invocation(None)()) == Failed(GONE)
    with pytest.raises(OutOfTurn, match="next is not for a worker that is ended"):
        await scene.conversation.next()


async def test_the_end_turns_away_who_asks(autojump_clock: object) -> None:
    """A worker that waits for work when it is ended is not left waiting."""
    scene = Scene()

    async def ask() -> None:
        with pytest.raises(OutOfTurn, match="the worker is being ended"):
            await scene.conversation.next()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        scene.conversation.end(GONE)


async def test_a_failed_start_is_an_end(autojump_clock: object) -> None:
    """It can only be told before the worker asks for work."""
    failed, started = Scene(), Scene()
    failed.conversation.fail_init(GONE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(started.ask)
        await wait_all_tasks_blocked()
        with pytest.raises(OutOfTurn, match="has started"):
            started.conversation.fail_init(GONE)
        nursery.cancel_scope.cancel()

    assert failed.conversation.ending == GONE
    assert failed.conversation.started.is_set()


@given(
    st.lists(st.sampled_from(["next", "give", "answer", "answer wrong", "init error", "end"]), max_size=12)
)
def test_nonsense_changes_nothing(moves: list[str]) -> None:
    """Whatever a worker says, each invocation that it was given has exactly one outcome once it has ended."""

    async def main() -> None:
        scene, number = Scene(), 0
        async with trio.open_nursery() as nursery:
            for move in [*moves, "end"]:
                conversation = scene.conversation
                before = conversation.phase
                try:
                    match move:
                        case "next" if before not in {Phase.STARTING, Phase.ANSWERED}:
                            await conversation.next()
                        case "next":
                            nursery.start_soon(ask, scene)
                        case "give" if before is Phase.IDLE:
                            number += 1
                            nursery.start_soon(scene.give, str(number))
                        case "answer":
                            conversation.answer(str(number), Answered(str(number)))
                        case "answer wrong":
                            conversation.answer("wrong", Answered("wrong"))
                        case "init error":
                            conversation.fail_init(GONE)
                        case "end":
                            conversation.end(GONE)
                except OutOfTurn:
                    assert conversation.phase is before
                await wait_all_tasks_blocked()

        assert len(scene.outcomes) == number
        assert [o for o in scene.outcomes if isinstance(o, Answered)] == [
            Answered(str(n + 1)) for n, o in enumerate(scene.outcomes) if isinstance(o, Answered)
        ]

    async def ask(scene: Scene) -> None:
        try:
            await scene.ask()
        except OutOfTurn:
            assert scene.conversation.phase is Phase.ENDED

    trio.run(main)
