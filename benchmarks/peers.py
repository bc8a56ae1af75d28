"""Who is measured, and the virtual environment that each of them gets."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
_ENVIRONMENTS: Final = ROOT / ".benchmarks"


class Absent(Exception):
    """A peer cannot run on this machine."""


@dataclass(frozen=True)
class Peer:
    """One subject.

    Attributes:
        name: its module in ``subjects``, and its name on the command line.
        label: its name in the tables.
        requirements: what is installed for it; nothing: this environment is used.
        kinds: the programs that it has.
    """

    name: str
    label: str
    requirements: tuple[str, ...] = ()
    kinds: frozenset[str] = frozenset()

    def command(self) -> list[str]:
        """Return the command that measures it; makes its environment the first time.

        Raises:
            Absent: this machine cannot run it.
            subprocess.CalledProcessError: it could not be installed.
        """
        python = _environment(self) if self.requirements else Path(sys.executable)
        return [str(python), "-m", "benchmarks.subjects", self.name]

    def can(self, kind: str) -> bool:
        """Tell whether it has a program of this kind."""
        return kind in self.kinds


class NodePeer(Peer):
    """A subject in JavaScript, with Node from npm."""

    def command(self) -> list[str]:
        """Return the command that measures it; see ``Peer``."""
        npm = shutil.which("npm")
        if npm is None:
            raise Absent("it needs npm")
        folder = _ENVIRONMENTS / self.name
        if _is_missing(folder, self.requirements):
            folder.mkdir(parents=True, exist_ok=True)
            _install([npm, "install", "--silent", "--prefix", str(folder), *self.requirements])
            _stamp(folder, self.requirements)
        # Next to its modules, where Node looks for them.
        script = shutil.copy(ROOT / "benchmarks" / "subjects" / f"{self.name}.mjs", folder)
        return [str(folder / "node_modules" / ".bin" / "node"), "--expose-gc", str(script)]


def _environment(peer: Peer) -> Path:
    folder = _ENVIRONMENTS / peer.name
    python = folder / "bin" / "python"
    if _is_missing(folder, peer.requirements):
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        _install([str(python), "-m", "pip", "install", "--quiet", *peer.requirements])
        _stamp(folder, peer.requirements)
    return python


def _is_missing(folder: Path, requirements: tuple[str, ...]) -> bool:
    stamp = folder / "installed"
    return not stamp.exists() or stamp.read_text() != "\n".join(requirements)


def _install(command: list[str]) -> None:
    subprocess.run(command, check=True)  # noqa: S603 - the requirements are those below


def _stamp(folder: Path, requirements: tuple[str, ...]) -> None:
    (folder / "installed").write_text("\n".join(requirements))


_SDK: Final = frozenset(
    {"steps", "map", "replay_steps", "replay_map", "import", "suspend", "nested", "resume", "parked"}
)
_LAMBDA: Final = _SDK | {"first_invocation", "resume_virtual"}
_LOCAL: Final = frozenset({"local_steps", "local_map"})

PEERS: Final = (
    Peer("durable_trio", "durable_trio", kinds=_LAMBDA | _LOCAL),
    Peer("floor", "floor", kinds=_SDK),
    NodePeer("aws_js", "AWS JS", ("node@22", "@aws/durable-execution-sdk-js@2.4.0"), _SDK - {"import"}),
    Peer(
        "aws_python",
        "AWS Python",
        ("aws-durable-execution-sdk-python==3.0.0", "aws-durable-execution-sdk-python-testing==1.4.0"),
        _LAMBDA | _LOCAL,
    ),
    Peer("asyncio_rival", "asyncio rival", ("async-durable-execution==2.5.0",), _LAMBDA),
    Peer("dbos_sqlite", "DBOS", ("dbos==3.4.0",), _LOCAL),
)
"""In the order of the table's columns."""
