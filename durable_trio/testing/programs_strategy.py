"""How random programs are made up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from durable_trio.testing.programs_nodes import (
    MAX_DAYS,
    RULES,
    All,
    Batch,
    Callback,
    Catch,
    Child,
    Condition,
    Deadline,
    Either,
    FailingStep,
    FirstOf,
    Invoke,
    Loop,
    Nursery,
    Program,
    Race,
    Retry,
    Saga,
    Settled,
    Shielded,
    Step,
    Wait,
    days_of,
)

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


def leaves() -> SearchStrategy[Any]:
    """Return a strategy for programs without parts."""
    return st.one_of(
        st.builds(Step, st.sampled_from([0.0, 0.3, 2.0]), st.sampled_from([0, 0, 0, 1, 2]), st.booleans()),
        st.builds(FailingStep, st.sampled_from([0.0, 1.0, 3.0])),
        st.builds(Wait, st.sampled_from([1, 2, 3600])),
        st.builds(Callback, st.sampled_from([False, False, True]), st.booleans()),
        st.builds(Condition, st.integers(1, 3)),
        st.builds(Invoke, st.integers(1, 3), st.sampled_from([False, False, True])),
    )


def compounds(nodes: SearchStrategy[Any]) -> SearchStrategy[Any]:
    """Return a strategy for programs that have *nodes* as parts."""
    bodies = st.lists(nodes, max_size=3)
    return st.one_of(
        st.builds(Child, bodies, st.booleans()),
        st.builds(All, st.lists(nodes, max_size=4)),
        st.builds(
            Batch,
            st.lists(st.lists(nodes, max_size=2), max_size=4),
            st.sampled_from([None, 1, 2]),
            st.booleans(),
            st.sampled_from(RULES),
            st.booleans(),
            st.booleans(),
        ),
        st.builds(Either, nodes, bodies, bodies),
        st.builds(Loop, st.integers(0, 3), st.lists(nodes, max_size=2)),
        st.builds(Catch, bodies),
        st.builds(Race, bodies),
        st.builds(FirstOf, st.lists(nodes, min_size=1, max_size=3)),
        st.builds(Settled, st.lists(nodes, max_size=3)),
        st.builds(Retry, bodies),
        st.builds(Nursery, st.lists(bodies, max_size=3)),
        st.builds(Deadline, bodies, st.booleans()),
        st.builds(Saga, bodies),
        st.builds(Shielded, bodies),
    )


def strategy(max_leaves: int) -> SearchStrategy[Program]:
    """Return a strategy for programs; see ``programs.programs``."""
    programs = st.recursive(leaves(), compounds, max_leaves=max_leaves)
    return programs.filter(lambda program: days_of(program) <= MAX_DAYS)
