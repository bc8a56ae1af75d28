"""What holds for every test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# How long an example takes, and how long it takes to make one, says how busy the machine is, not whether a rule holds.
settings.register_profile("durable_trio", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("durable_trio")

pytest_plugins = ["durable_trio.testing.pytest_plugin"]
