"""A clock that may be moved: what sleeps by it wakes in time, and it never goes back."""

from __future__ import annotations

import math

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from durable_trio.clock import Clock, VirtualClock

START = 1_700_000_000_000
MONTH = 30 * 86_400 * 1000


async def test_it_moves_with_trios_clock(autojump_clock: trio.testing.MockClock) -> None:
    """As long as nobody moves it, it is a clock like any other."""
    clock = VirtualClock(START)
    await clock.sleep_until(START + 1500)

    assert clock.now() == START + 1500
    assert autojump_clock.current_time() == pytest.approx(1.5)


async def test_a_jump_wakes_who_sleeps_until_then() -> None:
    """A jump to an instant ends every sleep until that instant or an earlier one, and no other."""
    clock = VirtualClock(START)
    woken: list[int] = []

    async def sleeper(at: int) -> None:
        await clock.sleep_until(at)
        assert clock.now() >= at
        woken.append(at)

    async with trio.open_nursery() as nursery:
        for at in (START + MONTH, START + 2 * MONTH, START + MONTH // 2):
            nursery.start_soon(sleeper, at)
        await trio.testing.wait_all_tasks_blocked()
        clock.jump_to(START + MONTH)
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(woken) == [START + MONTH // 2, START + MONTH]
        clock.jump_to(START + 2 * MONTH)

    assert START + 2 * MONTH in woken


async def test_it_never_goes_back() -> None:
    """A jump into the past does nothing."""
    clock = VirtualClock(START)
    clock.jump_to(START + 1000)
    clock.jump_to(START)

    assert clock.now() >= START + 1000


async def test_it_may_run_faster(autojump_clock: trio.testing.MockClock) -> None:
    """With a speed of 60 an hour takes a minute, also for who was asleep when the speed was set."""
    clock = VirtualClock(START)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clock.sleep_until, START + 3_600_000)
        await trio.testing.wait_all_tasks_blocked()
        clock.set_speed(60)

    assert autojump_clock.current_time() == pytest.approx(60, abs=0.01)
    clock.set_speed(1)
    before = clock.now()
    await trio.sleep(2)
    assert clock.now() - before == pytest.approx(2000, abs=1)


@pytest.mark.parametrize("speed", [0, -1, math.inf, math.nan])
async def test_a_speed_that_is_none(speed: float) -> None:
    """A speed is positive and finite; the error names what was given."""
    with pytest.raises(ValueError, match=f"speed must be positive and finite, not {speed!r}"):
        VirtualClock(START).set_speed(speed)


async def test_holding_it() -> None:
    """Holds nest; who moves the clock can wait until nobody holds it."""
    clock = VirtualClock(START)
    with clock.held():
        with clock.hold():
            assert clock.is_held
        assert clock.is_held
        with trio.move_on_after(0) as waited:
            await clock.until_free()
        assert waited.cancelled_caught
        assert "held by 1" in repr(clock)
    await clock.until_free()
    assert not clock.is_held


async def test_a_scope_is_gone_once_it_was_left() -> None:
    """A jump does not touch scopes whose block has ended."""
    clock = VirtualClock(START)
    asked: list[float] = []

    def deadline() -> float:
        asked.append(clock.trio_deadline(START + 1000))
        return asked[-1]

    with clock.scope(deadline):
        clock.jump_to(START + 500)
    clock.jump_to(START + MONTH)

    assert len(asked) == 2


@given(
    moves=st.lists(
        st.tuples(st.sampled_from(["jump", "speed", "sleep"]), st.integers(1, 10**9)), min_size=1, max_size=20
    ),
    at=st.integers(0, 10**10),
)
@settings(max_examples=50)
def test_who_wakes_is_not_too_early(moves: list[tuple[str, int]], at: int) -> None:
    """However the clock is moved, it never goes back, and a sleeper wakes at its instant or after it."""

    async def main() -> None:
        clock = VirtualClock(START)

        async def sleeper() -> None:
            await clock.sleep_until(START + at)
            assert clock.now() >= START + at

        async with trio.open_nursery() as nursery:
            nursery.start_soon(sleeper)
            for what, how_much in moves:
                before = clock.now()
                match what:
                    case "jump":
                        clock.jump_to(before + how_much)
                        assert clock.now() >= before + how_much
                    case "speed":
                        clock.set_speed(how_much / 1000)
                    case _:
                        await trio.sleep(how_much / 1000)
                await trio.testing.wait_all_tasks_blocked()
                assert clock.now() >= before

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def test_an_ordinary_clock_has_scopes_too(autojump_clock: trio.testing.MockClock) -> None:
    """A scope of an ordinary clock ends at its deadline."""
    clock = Clock(START)
    with clock.scope(lambda: clock.trio_deadline(START + 2000)) as scope:
        await trio.sleep_forever()

    assert scope.cancelled_caught
    assert clock.now() == START + 2000
