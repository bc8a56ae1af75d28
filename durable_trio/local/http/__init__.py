"""The local service over HTTP: the routes of AWS Lambda, so that boto3, the AWS CLI and AWS's own SDKs work with it.

``serve_http`` serves a ``LocalService`` on loopback. It needs the extra ``[local]``.

A request is read (``reading``), handed to the operation that its path names (``routes``), which asks the
service (``checkpoints``, ``executions``, ``callbacks``, ``functions``, ``invoking``), and answered
(``answers``); ``endpoint`` is the frame around that, ``guard`` keeps web pages out, and ``server`` holds the
connections.
"""

from durable_trio.local.http.server import serve_http
from durable_trio.local.http.settings import DEFAULT_PORT, HttpSettings

__all__ = ["DEFAULT_PORT", "HttpSettings", "serve_http"]
