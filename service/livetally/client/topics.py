"""What can be watched: arguments of `live`."""

from collections.abc import Mapping, Sequence
from typing import Any

#: As the live protocol writes it.
Topic = Mapping[str, Any]


def totals(type: str, subjects: Sequence[str] | None = None) -> Topic:
    """Every total of a type (the 1,000 largest), or those of some subjects."""
    return {"totals": type} if subjects is None else {"totals": type, "subjects": list(subjects)}


def feed(type: str, subject: str | None = None) -> Topic:
    """Every event of a type, or of one of its subjects, in order, once."""
    return {"feed": type} if subject is None else {"feed": type, "subject": subject}


def item(key: str, id: str) -> Topic:
    """One item's latest value."""
    return {"item": [key, id]}


def items(key: str) -> Topic:
    """The latest values of all items of a key."""
    return {"items": key}
