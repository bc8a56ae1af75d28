"""Trio's scheduler, seeded: the kit's own, under the name that these tests know."""

from __future__ import annotations

from durable_trio.testing.simulation_host import seeded_scheduling

__all__ = ["seeded_scheduling"]
