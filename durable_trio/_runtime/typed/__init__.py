"""Typed payloads: values that come back as what the user's annotation says, on the first run and on replay.

The rules, for every operation whose result has a type:

1. The type is ``result_type=``, else the return annotation of the user's function (``annotations``). Annotations
   of plain JSON (``str``, ``dict[str, Any]`` and the like) change nothing: such values are stored untyped.
2. A value is written by *its own* classes, as plain JSON without tags (``tree``), and read by *the annotation*
   (``hooks``). Before anything is recorded, what was written is read back: a value that does not fit, or would
   not come back, is a ``SerDesError`` that names the path and the type. A dict of the right shape fits a
   dataclass, and comes back as one.
3. Text that untyped reading would take for something else carries a mark of white space (``json_values``), so
   taking an annotation away fails loudly. Adding one works: tagged values are what they say, and then have to
   fit.
4. An annotation that cannot be resolved or converted (a ``TypeVar``, ``object``, a protocol, a name that only
   type checkers know) counts as none. The same in ``result_type=`` is a ``ConfigurationError`` at the call.
5. A serializer of the user's beats annotations. With ``result_type=`` it carries the plain JSON instead.

The conversion is done by cattrs. msgspec was measured against it. It needs 1 us where this takes 9, and imports in
22 ms where cattrs takes 12 on top of the attrs that Trio has loaded. But it refuses unions of several classes and
enums whose values are not all text or all integers, reads its own types (a datetime, say) in its own forms only,
so that a ``ZoneInfo`` is lost, and has no hook around the classes it knows, with which rule 2 tells a subclass
from what the annotation says. cattrs generates code per class, and lets us replace every conversion that would
guess. It is imported when the first value is converted. pydantic's models are converted by pydantic itself.
"""

from __future__ import annotations

from durable_trio._runtime.typed.annotations import (
    input_serdes,
    result_serdes,
    type_serdes,
)
from durable_trio._runtime.typed.typed_serdes import writes_json

__all__ = ["input_serdes", "result_serdes", "type_serdes", "writes_json"]
