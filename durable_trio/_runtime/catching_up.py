"""Letting actors catch up with what is recorded, before something is decided over their heads.

On a resume everything that had ended ends again within a few rounds of the scheduler, in whatever order Trio runs
the tasks. What is decided by the first failure, or by the end of a time, must not depend on that order: who has come
to an end by the record is to have come to it. So the decision waits until nobody moves any more who is merely going
through what is recorded. Actors that are in a step's body, wait for an answer of the service, or are blocked on a
plain Trio thing are not waited for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from durable_trio._runtime.invocation import Invocation

QUIET_ROUNDS: Final = 8
"""Rounds of the scheduler without progress after which nobody is taken to be catching up: leaving nested contexts
takes a few for each."""


async def caught_up(invocation: Invocation) -> None:
    """Return when no actor but the caller, which is counted as running, is going through what is recorded."""
    supervisor, writer = invocation.supervisor, invocation.writer
    quiet_rounds, progress = 0, supervisor.progress
    while quiet_rounds < QUIET_ROUNDS and supervisor.running - supervisor.bodies - writer.waiting_actors > 1:
        await trio.lowlevel.checkpoint()
        quiet_rounds = 0 if supervisor.progress != progress else quiet_rounds + 1
        progress = supervisor.progress
