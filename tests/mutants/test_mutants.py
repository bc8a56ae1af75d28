"""Seeded bugs are found, and nothing is found where there are none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from mutants.hunting import with_explored_programs, with_random_programs
from mutants.runtime_mutants import MUTANTS, Mutant
from mutants.workflow_mutants import BROKEN_WORKFLOWS, BrokenWorkflow

HUNTS: dict[str, Callable[[], None]] = {
    "random programs": with_random_programs,
    "explored programs": with_explored_programs,
    **{mutant.name: mutant.hunt for mutant in MUTANTS if mutant.hunt.__name__ == "hunt"},
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_bug_of_the_runtime_is_found(mutant: Mutant) -> None:
    """Each seeded bug of the runtime or the service is found by the kit."""
    with mutant.at_large(), pytest.raises(AssertionError) as found:
        mutant.hunt()
    # A patch that no longer fits the runtime breaks it in another way than it says.
    assert not any(wrong in str(found.value) for wrong in ("AttributeError", "TypeError", "NameError"))


@pytest.mark.parametrize("name", HUNTS)
def test_no_hunt_finds_anything_in_the_sound_runtime(name: str) -> None:
    """The same hunts find nothing when nothing is seeded."""
    HUNTS[name]()


@pytest.mark.parametrize("workflow", BROKEN_WORKFLOWS, ids=lambda workflow: workflow.name)
def test_a_bug_of_a_workflow_is_found(workflow: BrokenWorkflow) -> None:
    """Each broken workflow is found out; its sound twin is not."""
    with pytest.raises(AssertionError):
        workflow.hunt(workflow.broken)
    workflow.hunt(workflow.sound)
