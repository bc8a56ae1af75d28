"""Serializers: how values become the text of a payload, and values again.

Whatever an operation returns is stored as text, and what the program gets is read from that text, on the first
run as on every replay. So a serializer must bring back an equal value of the same type, or refuse.
The default, ``json_serdes()``, does just that; its format is described in ``_protocol/json_values.py``.

Which serializer an operation uses: its own ``serdes=``, else the handler's, else the default of the process
(``set_default_serdes``), else ``json_serdes()``. One serializer can stand on another: ``staged`` compresses or
encrypts what the inner one wrote, ``overflow_to_files`` keeps it in files when it is big.

Serializers are synchronous, called inline, and hold no state of an execution. Nothing that is stored can make
any of them import, unpickle or execute anything, and what would unpack to more than a limit is refused.
"""

from __future__ import annotations

from durable_trio.serdes.base import SerDes, SerdesContext
from durable_trio.serdes.custom import custom_serdes
from durable_trio.serdes.on_demand import (
    Stage,
    aws_python_serdes,
    cbor_serdes,
    compression_stage,
    encryption_stage,
    overflow_to_files,
    staged,
)
from durable_trio.serdes.ready import (
    default_serdes,
    json_serdes,
    pass_through,
    plain_json,
    set_default_serdes,
)

__all__ = [
    "SerDes",
    "SerdesContext",
    "Stage",
    "aws_python_serdes",
    "cbor_serdes",
    "compression_stage",
    "custom_serdes",
    "default_serdes",
    "encryption_stage",
    "json_serdes",
    "overflow_to_files",
    "pass_through",
    "plain_json",
    "set_default_serdes",
    "staged",
]
