"""Logs: one JSON object a line on stderr, with the id of the request it belongs to."""

import logging
import sys
from contextvars import ContextVar

from pythonjsonlogger.json import JsonFormatter

#: The id of the request (or connection) being handled, '' outside of one.
request_id: ContextVar[str] = ContextVar("request_id", default="")


class _RequestId(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if found := request_id.get():
            record.request_id = found
        return True


def configure(level: str) -> None:
    """Send every logger's records to stderr as JSON lines. Nothing logs keys or query strings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_RequestId())
    handler.setFormatter(
        JsonFormatter(
            "%(levelname)s %(name)s %(message)s",
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp="time",
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
