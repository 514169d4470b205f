"""Whether what goes out is what is declared: its bytes are an encoded struct of schema/.

They decode into the type, and that encodes to the same bytes. Only what Postgres has stored as JSON
goes out as it was stored: of that the values are compared, and moments as moments.
"""

import json
import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT.*")
#: Fields whose values Postgres has stored as JSON.
_STORED = re.compile(rb'"(value|events)":')


def is_declared(body: bytes, types: Iterable[Any]) -> bool:
    """Whether these bytes are one of these types, and nothing else beside it."""
    return any(_is(body, type_) for type_ in types)


def _is(body: bytes, type_: Any) -> bool:
    # The earliest moment that an event may have is, in UTC, before any that Python has.
    body = body.replace(b'+00:00 BC"', b'+00:00"')
    try:
        encoded = msgspec.json.encode(msgspec.json.decode(body, type=type_))
    except (msgspec.MsgspecError, UnicodeError):
        return False
    if encoded == body:
        return True
    return _STORED.search(body) is not None and _plain(body) == _plain(encoded)


def _plain(body: bytes) -> Any:
    return _with_moments(json.loads(body, parse_float=Decimal))


def _with_moments(value: Any) -> Any:
    match value:
        case dict():
            return {name: _with_moments(each) for name, each in value.items()}
        case list():
            return [_with_moments(each) for each in value]
        case str() if _MOMENT.fullmatch(value):
            return datetime.fromisoformat(value)
    return value
