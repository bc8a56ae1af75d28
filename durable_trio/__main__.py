"""``python -m durable_trio`` is ``durable-trio``."""

from __future__ import annotations

from durable_trio.cli import main

if __name__ == "__main__":
    main()
