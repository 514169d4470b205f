"""What a request asks for: its query and its body, checked against a type."""

from typing import TypeVar

import msgspec
from aiohttp import web

from ..base.errors import BadRequest, MalformedJson, Unprocessable
from ..base.validation import has_nul, plainly

_Shape = TypeVar("_Shape")


def query_of(request: web.Request, shape: type[_Shape]) -> _Shape:
    """The parameters in a request's address. Raises BadRequest."""
    given = dict(request.query)
    if len(given) < len(request.query):
        raise BadRequest("A parameter is given twice.")
    if any("\0" in value for value in given.values()):
        raise BadRequest("No event has the character U+0000: it can't be stored.")
    try:
        return msgspec.convert(given, shape, strict=False)
    except msgspec.ValidationError as error:
        text = plainly(str(error)).replace("Object", "The query").replace(" | null", "")
        raise BadRequest(text) from None


def body_as(body: bytes, shape: type[_Shape]) -> _Shape:
    """A JSON body. Raises MalformedJson, or Unprocessable for one of another shape."""
    try:
        if has_nul(msgspec.json.decode(body)):
            raise Unprocessable("Nothing has the character U+0000: it can't be stored.")
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise Unprocessable(plainly(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedJson(str(error)) from None
