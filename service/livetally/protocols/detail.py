"""What is wrong with a request, as the old collector's framework (FastAPI) said it: `detail`.

{"detail":[{"loc":["body","session_id"],"msg":"field required","type":"value_error.missing"}]}
"""

import json
from typing import Any

from ..errors import LivetallyError, MalformedJson
from ..events import check_value

Problem = dict[str, Any]


class Invalid(Exception):
    """A body or a query that isn't as it should be."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__()
        self.problems = problems


def parse(body: bytes, fields: tuple[Any, ...]) -> dict[str, Any]:
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
    found: dict[str, Any] = {}
    problems = []
    for name, longest, required in fields:
        value = sent.get(name)
        if (wrong := _wrong(name in sent, value, longest, required)) is not None:
            problems.append(problem("body", (name,), *wrong))
        elif value is not None:
            found[name] = value
    for name in ("url", "button_id"):
        if found.get(name) == "":
            text = "ensure this value has at least 1 characters"
            problems.append(problem("body", (name,), text, "value_error.any_str.min_length"))
    if problems:
        raise Invalid(*problems)
    return found


def _wrong(given: bool, value: Any, longest: int, required: bool) -> tuple[str, str] | None:
    """What is wrong with a field: a message and its kind."""
    if required and not given:
        return "field required", "value_error.missing"
    if value is None:
        if required:
            return "none is not an allowed value", "type_error.none.not_allowed"
        return None
    if not isinstance(value, str):
        return "str type expected", "type_error.str"
    if len(value) > longest:
        text = f"ensure this value has at most {longest} characters"
        return text, "value_error.any_str.max_length"
    return None


def problem(place: str, names: tuple[str | int, ...], text: str, kind: str) -> Problem:
    return {"loc": [place, *names], "msg": text, "type": kind}
