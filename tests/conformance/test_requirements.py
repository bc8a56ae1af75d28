"""AWS's conformance requirements, on the local service and in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import pytest
from conformance import bodies
from conformance.handlers import HANDLERS, NOT_IMPLEMENTED
from conformance.stage import Requirement, data_folder, perform

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def requirements() -> dict[str, Path]:
    """Return the files of the requirements, by id; skips the test if there are none."""
    folder = data_folder()
    files = {path.stem: path for path in folder.glob("*/*.yaml")}
    if not files:
        pytest.skip(f"no conformance requirements in {folder}; DURABLE_TRIO_CONFORMANCE says where they are")
    return files


def exit_process() -> NoReturn:
    """Die as far as one process allows it: the local service takes this for the function's process."""
    raise SystemExit(1)


@pytest.mark.parametrize("requirement_id", HANDLERS)
async def test_requirement_is_met(
    requirement_id: str,
    requirements: dict[str, Path],
    autojump_clock: object,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The history, the result and the log lines of the requirement's handler are as AWS demands."""
    monkeypatch.setattr(bodies, "die", exit_process)
    requirement = Requirement.load(requirements[requirement_id])

    performance = await perform(requirement)

    assert requirement.judge(performance, capsys.readouterr().out) == []


def test_every_requirement_has_a_handler_or_a_reason(requirements: dict[str, Path]) -> None:
    """Nothing is left out silently, and nothing is claimed that is not asked for."""
    assert set(requirements) == {*HANDLERS, *NOT_IMPLEMENTED}
