from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from durable_trio._protocol import limits
from durable_trio._protocol.ids import operation_id

ROOT_1 = "1ced8f5be2db23a6513eba4d819c73806424748a7bc6fa0d792cc1c7d1775a97"
ROOT_2 = "c5faca15ac2f93578b39ef4b6bbb871bdedce4ddd584fd31f0bb66fade3947e6"
ROOT_3 = "6f760b9e9eac89f07ab0223b0f4acb04d1e355d893a1b86a83f4d4b405adee99"
ROOT_10 = "f2e74cbc3eff574bbc45333c30edb947858543afda4cafdde2903324c9de0bd9"
ROOT_1_FIRST = "974bfc6321e227b0ff101342eaf19b336f002dc6cc99c18f0941a7755cc20fc4"
ROOT_1_SECOND = "9d8bc609108ec7b3600d6cceec22d18553e3e1ec52a3568cb251464a3d39d24f"
MAP_BRANCH_0 = "1712f93e2f51df042e2b933907d75accfe34a48fe4a42a24e0b08131bc72d591"
MAP_BRANCH_0_FIRST = "48550629202cb2d0e1bd4f07d826361bbd2defa71565264c01647fc2da0e9b1e"
ROOT_1_FIRST_FIRST = "d0bd0541a3db98c1beecb6c41cd964f92910f1d367864202697b001344bd70b3"
SHORT_DIGEST_OF_1 = "92cdf578c47085a5992256f0dcf97d0b19f1f1c9de4d5fe30c3ace6191b6e5db"


def test_ids_at_the_root() -> None:
    """At the root an id is made of the position alone."""
    assert [operation_id(None, n) for n in (1, 2, 3, 10)] == [ROOT_1, ROOT_2, ROOT_3, ROOT_10]


def test_ids_in_a_child_context() -> None:
    """In a context the context's id comes first; positions start at 1 again."""
    assert operation_id(ROOT_1, 1) == ROOT_1_FIRST
    assert operation_id(ROOT_1, 2) == ROOT_1_SECOND
    assert operation_id(ROOT_1_FIRST, 1) == ROOT_1_FIRST_FIRST


def test_ids_of_branches() -> None:
    """Branches count from 0 under their map; branch 1 has the id that a first operation there would have."""
    assert operation_id(ROOT_1, 0) == MAP_BRANCH_0
    assert operation_id(MAP_BRANCH_0, 1) == MAP_BRANCH_0_FIRST
    assert operation_id(ROOT_1, 1) == ROOT_1_FIRST


def test_an_id_is_the_cut_of_a_long_digest() -> None:
    """The digest has 64 bytes and is cut; a digest of 32 bytes is another one."""
    assert operation_id(None, 1) != SHORT_DIGEST_OF_1


def test_a_position_may_be_text() -> None:
    """A construct's own positions, such as a saga's compensations, are part of the same scheme."""
    assert operation_id(ROOT_1, "undo-1") != operation_id(ROOT_1, "undo-2")
    assert operation_id(ROOT_1, "7") == operation_id(ROOT_1, 7)


places = st.lists(st.integers(0, 1000), min_size=1, max_size=6).map(tuple)


def id_of(place: tuple[int, ...]) -> str:
    """Return the id of the operation at *place*, a position for each level."""
    prefix = None
    for position in place:
        prefix = operation_id(prefix, position)
    assert prefix is not None
    return prefix


@given(places, places)
def test_other_place_other_id(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    """Two ids are equal if and only if their places are."""
    assert (id_of(one) == id_of(other)) is (one == other)


def test_no_two_of_many_ids_are_equal() -> None:
    """In a tree of a hundred thousand operations no id comes twice."""
    parents = [operation_id(None, n) for n in range(1, 301)]
    ids = [operation_id(parent, n) for parent in parents for n in range(333)]

    assert len({*parents, *ids}) == len(parents) + len(ids)


@given(places)
def test_the_service_accepts_every_id(place: tuple[int, ...]) -> None:
    """An id has the length and the characters that the service allows."""
    assert limits.OPERATION_ID.fullmatch(id_of(place))
