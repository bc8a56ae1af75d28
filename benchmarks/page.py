"""``docs/performance.md``: the measured part of it is written by the benchmarks."""

from __future__ import annotations

from typing import Final

from benchmarks import plots, report
from benchmarks.peers import ROOT
from benchmarks.running import Results

_PAGE: Final = ROOT / "docs" / "performance.md"
_BEGIN: Final = "<!-- measured: begin -->"
_END: Final = "<!-- measured: end -->"


def write_page(results: Results) -> None:
    """Put the tables and plots of *results* between the page's marks."""
    page = _PAGE.read_text()
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    pictures = plots.draw(results, _PAGE.parent / "performance")
    machine = results.machine
    measured = [
        f"Measured {machine['measured_at']} on {machine['cores']} cores, Python {machine['python']},"
        f" {machine['system']}. Medians; read the ratios.",
        report.table(results),
        *(f"![{picture.stem}](performance/{picture.name})" for picture in pictures),
        "What the modes and nestings cost:",
        report.costs(results),
    ]
    _PAGE.write_text(f"{before}{_BEGIN}\n\n" + "\n\n".join(measured) + f"\n\n{_END}{after}")
