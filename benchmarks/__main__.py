"""``python -m benchmarks``: measure, print the table, keep the raw numbers, draw."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks import report
from benchmarks.peers import PEERS, ROOT
from benchmarks.running import Results, machine, run
from benchmarks.work import ALL, CURVE

_KEEP = ROOT / "benchmarks" / "results"


@click.command()
@click.option("--quick", is_flag=True, help="Some minutes: the main workloads, fewer rounds.")
@click.option(
    "--only", metavar="KEYS", help="Workloads by key, separated by commas; W2 means all that begin so."
)
@click.option("--peers", metavar="NAMES", help="Subjects by name, separated by commas; default: all.")
@click.option(
    "--rounds", type=click.IntRange(1), help="How often each is measured. Default: 5, with --quick 3."
)
@click.option("--curve", is_flag=True, help="Also measure maps of 100 to 100,000 items.")
@click.option("--results", type=click.Path(dir_okay=False, path_type=Path), help="Where the raw numbers go.")
@click.option("--docs", is_flag=True, help="Write the table and the plots into docs/performance.md.")
def main(
    quick: bool,
    only: str | None,
    peers: str | None,
    rounds: int | None,
    curve: bool,
    results: Path | None,
    docs: bool,
) -> None:
    """Measure durable_trio, its peers and the floor on the same work."""
    wanted = tuple(only.split(",")) if only else ()
    workloads = [
        workload
        for workload in (*ALL, *(CURVE if curve else ()))
        if (workload.key.startswith(wanted) if wanted else workload.is_quick or not quick)
        or (curve and workload in CURVE)
    ]
    names = set(peers.split(",")) if peers else {peer.name for peer in PEERS}
    unknown = names - {peer.name for peer in PEERS}
    if unknown:
        raise click.BadParameter(
            f"--peers knows {', '.join(p.name for p in PEERS)}, not {', '.join(unknown)}"
        )
    kept = Results(machine())
    run(
        workloads,
        [peer for peer in PEERS if peer.name in names],
        rounds=rounds or (3 if quick else 5),
        tell=lambda line: click.echo(line, err=True),
        results=kept,
    )
    path = results or _KEEP / f"{'quick' if quick else 'full'}.json"
    kept.write(path)
    click.echo(report.table(kept, workloads))
    click.echo(f"\nraw numbers: {path}", err=True)
    if docs:
        from benchmarks.page import write_page

        write_page(kept)


if __name__ == "__main__":
    main()
