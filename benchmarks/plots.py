"""The pictures in ``docs/performance.md``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from benchmarks.peers import PEERS
from benchmarks.report import curve, figure
from benchmarks.running import Results
from benchmarks.work import ALL

_SHOWN: Final = ("W1-0ms", "W2-1000-0ms", "W2-10000-0ms", "W3-10000", "W6-0ms", "LOCAL-W1", "LOCAL-W2")


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw what was measured into *folder*; return the files."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    files = [_draw_peers(plt, results, folder / "peers.png")]
    if curve(results):
        files.append(_draw_curve(plt, results, folder / "curve.png"))
    plt.close("all")
    return files


def _draw_peers(plt: Any, results: Results, path: Path) -> Path:
    keys = [key for key in _SHOWN if key in results.runs]
    titles = {workload.key: workload.title for workload in ALL}
    plot, axes = plt.subplots(figsize=(10, 0.9 * len(keys) + 1.5), layout="constrained")
    height = 0.8 / len(PEERS)
    for position, peer in enumerate(PEERS):
        values = [figure(results.runs[key].get(peer.name, ())).wall_ms or 0 for key in keys]
        places = [row + position * height for row in range(len(keys))]
        axes.barh(places, values, height=height, label=peer.label)
    axes.set_yticks([row + 0.4 - height / 2 for row in range(len(keys))], [titles[key] for key in keys])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("milliseconds, median; shorter is better")
    axes.legend(loc="lower right", fontsize="small")
    plot.savefig(path, dpi=110)
    return path


def _draw_curve(plt: Any, results: Results, path: Path) -> Path:
    plot, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    points = curve(results)
    sizes = [size for size, _, _ in points]
    axes.plot(sizes, [ours for _, ours, _ in points], marker="o", label="durable_trio")
    axes.plot(sizes, [floor for _, _, floor in points], marker="o", label="floor")
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("items of a map, one step each")
    axes.set_ylabel("processor time per update, us")
    axes.legend()
    plot.savefig(path, dpi=110)
    return path
