"""Reading the parts of a request, and refusing those that cannot be read.

Path segments are decoded once, by the server: an execution's ARN and a callback's id may hold ``/``, written as
``%2F`` or as it is. In a query an instant is ISO 8601, a truth value ``true`` or ``false``, and a list is a
repeated name: that is how AWS's clients write them (REST-JSON). Names that are not known are ignored, as AWS
does.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import parse_qsl

from durable_trio._protocol import limits
from durable_trio._protocol.arns import parse_arn
from durable_trio._protocol.wire import WireError, decode_error
from durable_trio.local.function_config import split_name
from durable_trio.local.http.answers import HttpRefusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from durable_trio._protocol.operation import ErrorObject

_MAX_QUERY_FIELDS: Final = 100
_INTEGER: Final = re.compile(r"-?\d{1,9}", re.ASCII)
_TRUTH: Final = {"true": True, "false": False}
_QUALIFIER: Final = re.compile(r"\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9\-_$]{1,128}")
_MAX_ARN: Final = 1_024
_MAX_CALLBACK_ID: Final = 1_024


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request that has arrived whole.

    Attributes:
        path: the variable parts of its path, decoded.
        query: its query, decoded, in order.
        headers: by lower-case name.
        body: its body.
    """

    path: Mapping[str, str]
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes

    # --- path --------------------------------------------------------------------------------------------

    def execution_arn(self) -> str:
        """Return the ARN in the path.

        Raises:
            HttpRefusal: it is not the ARN of a durable execution.
        """
        arn = f"{self.path['function']}/durable-execution/{self.path['name']}/{self.path['id']}"
        if len(arn) > _MAX_ARN or parse_arn(arn) is None:
            refuse(f"DurableExecutionArn is not the ARN of a durable execution: {arn!r:.300}")
        return arn

    def callback_id(self) -> str:
        """Return the callback id in the path.

        Raises:
            HttpRefusal: it is not 1 to 1024 characters of base64.
        """
        id_ = self.path["callback"]
        if len(id_) > _MAX_CALLBACK_ID or limits.CALLBACK_ID.fullmatch(id_) is None:
            refuse(f"CallbackId must be 1 to {_MAX_CALLBACK_ID} characters of base64, not {id_!r:.100}")
        return id_

    def function(self) -> tuple[str, str | None]:
        """Return the function in the path, and the version or alias that is meant; None if none is given.

        Raises:
            InvalidParameterValue: the name or the qualifier is malformed, or there are two that differ.
        """
        qualifier = self.text("Qualifier")
        if qualifier is not None and _QUALIFIER.fullmatch(qualifier) is None:
            refuse(f"Qualifier must be a version or an alias, not {qualifier!r:.200}")
        return split_name(self.path["function"], qualifier)

    # --- query -------------------------------------------------------------------------------------------

    def texts(self, name: str) -> list[str]:
        """Return every value of *name* in the query."""
        return [value for key, value in self.query if key == name]

    def text(self, name: str) -> str | None:
        """Return the last value of *name* in the query, or None."""
        values = self.texts(name)
        return values[-1] if values else None

    def whole(self, name: str, default: int) -> int:
        """Return an integer of the query.

        Raises:
            HttpRefusal: it is not one.
        """
        text = self.text(name)
        if text is None:
            return default
        if _INTEGER.fullmatch(text) is None:
            refuse(f"{name} must be a whole number, not {text!r:.100}")
        return int(text)

    def max_items(self) -> int:
        """Return how many items a page may have; 0 stands for the default.

        Raises:
            HttpRefusal: it is not 0 to 1000.
        """
        count = self.whole("MaxItems", 0)
        if not 0 <= count <= limits.MAX_PAGE_SIZE:
            refuse(f"MaxItems must be 0 to {limits.MAX_PAGE_SIZE}, not {count}")
        return count

    def truth(self, name: str, *, default: bool) -> bool:
        """Return a truth value of the query.

        Raises:
            HttpRefusal: it is neither ``true`` nor ``false``.
        """
        text = self.text(name)
        if text is None:
            return default
        if text.lower() not in _TRUTH:
            refuse(f"{name} must be true or false, not {text!r:.100}")
        return _TRUTH[text.lower()]

    def instant(self, name: str) -> int | None:
        """Return an instant of the query as epoch milliseconds; without a zone it is in UTC.

        Raises:
            HttpRefusal: it is not an ISO 8601 instant.
        """
        text = self.text(name)
        if text is None:
            return None
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            refuse(f"{name} must be an ISO 8601 instant, not {text!r:.100}")
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        # Through integers: float seconds lose the last millisecond now and then.
        return int(at.replace(microsecond=0).timestamp()) * 1000 + at.microsecond // 1000

    # --- body --------------------------------------------------------------------------------------------

    def members(self) -> dict[str, Any]:
        """Return the body's JSON object; an empty body is an empty object.

        Raises:
            HttpRefusal: the body is not a JSON object.
        """
        if not self.body.strip():
            return {}
        value = read_json(self.body)
        if not isinstance(value, dict):
            refuse(f"the body must be a JSON object, not {type(value).__name__}", "SerializationException")
        return value

    def error_object(self) -> ErrorObject | None:
        """Return the error object that the body is, or None if there is no body.

        Raises:
            HttpRefusal: it is not an error object.
        """
        if not self.body.strip():
            return None
        try:
            return decode_error(self.members())
        except WireError as problem:
            refuse(str(problem))


def read_query(query: bytes) -> tuple[tuple[str, str], ...]:
    """Return the fields of a query.

    Raises:
        HttpRefusal: there are more than 100.
    """
    if not query:
        return ()
    try:
        return tuple(
            parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS)
        )
    except ValueError:
        refuse(f"the query has more than {_MAX_QUERY_FIELDS} fields")


def read_json(body: bytes) -> Any:
    """Return the value that *body* is the JSON of.

    Raises:
        HttpRefusal: it is not JSON in UTF-8, is nested too deeply, or holds half of a surrogate pair, which no
            text can be stored with.
    """
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
        if b"\\u" in body:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        refuse("the body is nested too deeply", "SerializationException")
    except ValueError as problem:
        refuse(f"the body is not JSON: {problem}", "SerializationException")
    return value


def member_text(members: Mapping[str, Any], name: str, *, default: str | None = None) -> str:
    """Return a text of a JSON body.

    Raises:
        HttpRefusal: it is not text, or is not there and has no default.
    """
    value = members.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        refuse(
            f"{name} is required" if value is None else f"{name} must be a string, not {type(value).__name__}"
        )
    return value


def member_truth(members: Mapping[str, Any], name: str, *, default: bool) -> bool:
    """Return a truth value of a JSON body.

    Raises:
        HttpRefusal: it is not one.
    """
    value = members.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        refuse(f"{name} must be true or false, not {value!r:.100}")
    return value


def refuse(message: str, code: str = "InvalidParameterValueException") -> NoReturn:
    """Refuse a request as malformed (400).

    Raises:
        HttpRefusal: always.
    """
    raise HttpRefusal(message, code=code)


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON value")
