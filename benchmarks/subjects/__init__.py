"""What is measured: one module a subject, with the same programs written for each.

A subject's module has

- ``prepare(workload, line)``: returns its handler for a program, a callable ``(event, lambda_context)`` that
  reaches the service by *line*;
- ``IMPORT``: the statement that imports what a handler needs;
- optionally ``first_invocation`` and ``resume_virtual``, for what only it can do.
"""
