"""What every decoder of ours checks alike, and how it says what is wrong."""

import re
from collections.abc import Iterable
from typing import Any

from msgspec import Raw

#: msgspec quotes a name that it doesn't know, however long: enough of it to know it by.
MAX_QUOTED = 120


def has_nul(value: Any) -> bool:
    """Whether some string in a decoded JSON value holds U+0000."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(has_nul(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(map(has_nul, value))


_HIGH, _LOW = (rb"\\u[dD][%s][0-9a-fA-F]{2}" % digits for digits in (b"89abAB", b"c-fC-F"))
# Runs are one match, so that a text of nothing else costs little more than any other.
_ESCAPES = re.compile(
    rb"(?P<whole>(?:\\\\|%(high)b%(low)b)++)|(?:%(high)b(?!%(low)b)|%(low)b)++"
    % {b"high": _HIGH, b"low": _LOW}
)
_REPLACED = rb"\ufffd"


def whole_characters(text: bytes) -> bytes:
    """A JSON text, as long as before, with each lone half of a character replaced.

    That is what JSON.stringify and json.dumps write of a text that was cut within an emoji. No
    decoder takes it; with this they see where the values around it begin and end.
    """
    if rb"\u" not in text:
        return text
    return _ESCAPES.sub(
        lambda run: run["whole"] or _REPLACED * (len(run[0]) // len(_REPLACED)), text
    )


def as_written(values: Iterable[Raw], whole: bytes, text: bytes) -> list[bytes]:
    """The values, which were decoded one after another from `whole`, as they are in `text`."""
    found, at = [], 0
    for value in map(bytes, values):
        at = whole.index(value, at)
        found.append(text[at : at + len(value)])
        at += len(value)
    return found


def plainly(message: str) -> str:
    """msgspec's 'Expected `str`, got `int` - at `$.subject`' with the field first."""
    what, at, where = message.partition(" - at `$.")
    what = what if len(what) <= MAX_QUOTED else f"{what[:MAX_QUOTED]}…"
    return f"`{where.rstrip('`')[:MAX_QUOTED]}`: {what}." if at else f"{what}."
