"""The Trio side of the SDK: one invocation of a durable function, as a tree of supervised tasks.

``invocation`` puts the parts together: the checkpoint ``writer`` (the only holder of the token), the
``supervisor`` (who can run, who is parked, when to suspend), the ``waker`` (due timers), and the handler's
tree of contexts (``node``). Each operation has a file of its own.
"""
