"""How fast durable_trio is, and how fast others are, on the same work: ``python -m benchmarks``.

Every measurement is a process of its own, in a virtual environment of its own, against the same recording
service (``stub``). Subjects take turns, so that a noisy moment hits them all; what is reported are medians and
ratios. ``floor`` is a subject, too: bare Trio that speaks the protocol and does only what cannot be avoided.

Modules that a subject's process imports (``stub``, ``work``, ``measuring``, ``subjects``) use the standard library
only, besides the subject itself: they run in the peers' environments.
"""
