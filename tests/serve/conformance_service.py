"""``durable-trio serve`` as a service of the conformance harness: ``run_conformance.py --service THIS_FILE:OurService``.

The harness runs the functions itself, behind Lambda's Invoke API; so they are served as functions that run elsewhere.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# Of the harness, which loads this file.
from function_host import REGION  # type: ignore[import-not-found]
from services import Service, free_port  # type: ignore[import-not-found]


class OurService(Service):  # type: ignore[misc]
    """The local service, serving every function that the harness has."""

    def __init__(self, args: Any, host: Any) -> None:
        super().__init__(args, host)
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        folder = Path(args.work_dir)
        config = folder / "functions.toml"
        config.write_text(_config(host), encoding="utf-8")
        self.spawn(
            [
                *(args.service_python, "-m", "durable_trio", "serve", "--config", str(config)),
                *("--port", str(port), "--db", str(folder / "db.sqlite"), "--region", REGION),
            ]
        )
        self.connect()


def _config(host: Any) -> str:
    return "\n".join(
        f"[functions.{json.dumps(name)}]\n"
        f"url = {json.dumps(host.url)}\n"
        f"durable = {json.dumps(function.durable)}\n"
        f"timeout = {int(host.timeout)}\n"
        for name, function in host.sdk.functions.items()
    )
