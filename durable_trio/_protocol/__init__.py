"""The durable execution protocol, without any I/O.

Everything in this package is pure: values and decisions, no clock, no randomness, no tasks, no network.
The SDK and the local service both stand on it, so the two sides read the same tables.
Instants are integers of epoch milliseconds (``..._at``); durations are whole seconds (``..._seconds``).
"""
