"""JSON that the user types, and JSON that we print."""

from __future__ import annotations

import json
from typing import NoReturn

from durable_trio.cli.errors import UserError


def compact_json(text: str, source: str) -> str:
    """Return *text* without insignificant white space, so that equal values are equal texts.

    Args:
        text: what the user gave.
        source: where, for the error.

    Raises:
        UserError: it is not JSON (NaN and infinities are not).
    """
    try:
        value = json.loads(text, parse_constant=_refuse)
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    except RecursionError:
        raise UserError(f"{source} is nested too deeply") from None
    except ValueError as error:
        raise UserError(f"{source} is not JSON: {error}") from None


def readable_json(text: str) -> str:
    """Return JSON *text* indented for humans; text that is not JSON as it is."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text


def document(value: object) -> str:
    """Return *value* as the one JSON document that ``--json`` prints."""
    return json.dumps(value, indent=2)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON value")
