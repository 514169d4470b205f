"""What is wrong with a request, as the old collector's framework (FastAPI) said it: `detail`.

{"detail":[{"loc":["body","session_id"],"msg":"field required","type":"value_error.missing"}]}
"""

import json
from typing import Any, NamedTuple

from ...base.errors import LivetallyError, MalformedJson
from ...ingest.events import check_value
from ...schema.compat import Problem


class Invalid(Exception):
    """A body or a query that isn't as it should be."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__()
        self.problems = problems


class Field(NamedTuple):
    """A text that a body may have."""

    name: str
    longest: int
    shortest: int = 0
    required: bool = True


def parse(body: bytes, fields: tuple[Field, ...]) -> dict[str, Any]:
    """The known fields of a body; others are ignored. Raises Invalid, MalformedJson."""
    if not body.strip():
        raise Invalid(problem("body", (), "field required", "value_error.missing"))
    try:
        check_value(body, len(body))
        sent = json.loads(body)
    except MalformedJson:
        raise
    except LivetallyError as error:
        raise Invalid(problem("body", (), error.message, "value_error")) from None
    if not isinstance(sent, dict):
        raise Invalid(problem("body", (), "value is not a valid dict", "type_error.dict"))
    wrong = [(field.name, _wrong(field, sent)) for field in fields]
    if problems := [problem("body", (name,), *said) for name, said in wrong if said]:
        raise Invalid(*problems)
    return {field.name: sent[field.name] for field in fields if sent.get(field.name) is not None}


def _wrong(field: Field, sent: dict[str, Any]) -> tuple[str, str] | None:
    """What is wrong with a field: a message and its kind."""
    if field.name not in sent:
        return ("field required", "value_error.missing") if field.required else None
    match sent[field.name]:
        case None if field.required:
            return "none is not an allowed value", "type_error.none.not_allowed"
        case str() as text if len(text) < field.shortest:
            said = f"ensure this value has at least {field.shortest} characters"
            return said, "value_error.any_str.min_length"
        case str() as text if len(text) > field.longest:
            said = f"ensure this value has at most {field.longest} characters"
            return said, "value_error.any_str.max_length"
        case None | str():
            return None
    return "str type expected", "type_error.str"


def problem(place: str, names: tuple[str | int, ...], text: str, kind: str) -> Problem:
    return Problem([place, *names], text, kind)
