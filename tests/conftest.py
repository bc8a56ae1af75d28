"""What holds for every test."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

# How long an example takes, and how long it takes to make one, says how busy the machine is, not whether a rule holds.
settings.register_profile("durable_trio", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("durable_trio")

# A shell starts what runs in its background with Ctrl-C ignored, and processes inherit that. Tests that interrupt
# processes mean those that a user started.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["durable_trio.testing.pytest_plugin"]
