"""What every decoder of ours checks alike, and how it says what is wrong."""

from typing import Any

#: msgspec quotes a name that it doesn't know, however long: enough of it to know it by.
MAX_QUOTED = 120


def has_nul(value: Any) -> bool:
    """Whether some string in a decoded JSON value holds U+0000."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(has_nul(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(map(has_nul, value))


def plainly(message: str) -> str:
    """msgspec's 'Expected `str`, got `int` - at `$.subject`' with the field first."""
    what, at, where = message.partition(" - at `$.")
    what = what if len(what) <= MAX_QUOTED else f"{what[:MAX_QUOTED]}…"
    return f"`{where.rstrip('`')[:MAX_QUOTED]}`: {what}." if at else f"{what}."
