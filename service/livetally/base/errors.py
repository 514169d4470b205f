"""Every way in which Livetally refuses or fails, with its status, code and message.

A refusal is raised anywhere and answered in one place (`edge`, `live`), always as
``{"error": {"code", "message"}}``. The code is also the cause it is counted under.
"""

import math


class LivetallyError(Exception):
    """Something went wrong inside Livetally."""

    status = 500
    code = "internal"
    retry_after_s: int | None = None

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())

    @property
    def message(self) -> str:
        return str(self)


class BadRequest(LivetallyError):
    """The request can't be understood."""

    status = 400
    code = "bad_request"


class MalformedJson(BadRequest):
    """The body is not valid JSON."""

    code = "malformed_json"


class BadPosition(BadRequest):
    """`since` is not a position of this project's feeds: subscribe without it to start afresh."""

    code = "bad_position"


class MissingKey(LivetallyError):
    """No API key: send one as 'x-api-key: KEY' or 'Authorization: Bearer KEY'."""

    status = 401
    code = "missing_key"


class UnknownKey(LivetallyError):
    """This API key is not known, or it has been revoked."""

    status = 401
    code = "unknown_key"


class WrongRole(LivetallyError):
    """This API key's role doesn't allow that."""

    status = 403
    code = "wrong_role"


class ForeignOrigin(LivetallyError):
    """This API key is bound to origins, and the request's Origin is not one of them."""

    status = 403
    code = "foreign_origin"


class NotFoundError(LivetallyError):
    """There is nothing here."""

    status = 404
    code = "not_found"


class MethodNotAllowed(LivetallyError):
    """This path doesn't take that method."""

    status = 405
    code = "method_not_allowed"


class ConflictError(LivetallyError):
    """That exists already."""

    status = 409
    code = "conflict"


class VersionConflict(ConflictError):
    """The item has another version by now: read it again, and decide again."""

    code = "version_conflict"


class TooLarge(LivetallyError):
    """The body is larger than 1 MiB: send fewer events a request."""

    status = 413
    code = "too_large"


class TooManyEvents(LivetallyError):
    """A request takes 1,000 events at most: send the rest in further requests."""

    status = 413
    code = "too_many_events"


class UnsupportedMediaType(LivetallyError):
    """Send events as application/json, application/x-ndjson or text/plain, in UTF-8."""

    status = 415
    code = "unsupported_media_type"


class Unprocessable(LivetallyError):
    """The request is well-formed, but what it asks for makes no sense."""

    status = 422
    code = "unprocessable"


class RequestTimeout(LivetallyError):
    """The body did not arrive in time."""

    status = 408
    code = "request_timeout"


class UnstorableEvent(LivetallyError):
    """Postgres refuses something in these events."""

    status = 422
    code = "unstorable_event"


class TooManySubscriptions(LivetallyError):
    """A connection takes 100 subscriptions at most: unsubscribe some, or open another."""

    status = 429
    code = "too_many_subscriptions"


class RateLimited(LivetallyError):
    """More comes than is allowed: send the rest again later."""

    status = 429
    code = "rate_limited"

    def __init__(self, message: str | None = None, wait_s: float = 0) -> None:
        super().__init__(message)
        self.retry_after_s = max(1, math.ceil(wait_s))


class TooManyConnections(LivetallyError):
    """This process has as many live connections as it takes: connect again, to another one."""

    status = 503
    code = "too_many_connections"
    retry_after_s = 1


class Overloaded(LivetallyError):
    """More events arrive than can be stored: nothing of this request was, send it again."""

    status = 503
    code = "overloaded"
    retry_after_s = 1


class DatabaseUnavailable(LivetallyError):
    """Postgres can't be reached: send it again, with the same event ids (nothing counts twice)."""

    status = 503
    code = "database_unavailable"
    retry_after_s: int | None = 2


class ReadsOverloaded(DatabaseUnavailable):
    """More is asked than can be read just now: ask again."""

    status = 503
    code = "overloaded"
    retry_after_s: int | None = 1


class ReadRateExceeded(ReadsOverloaded):
    """More reads come than is allowed: ask again later."""

    status = 429
    retry_after_s = None  # how long depends on the rate

    def __init__(self, message: str | None = None, wait_s: float = 0) -> None:
        super().__init__(message)
        self.retry_after_s = max(1, math.ceil(wait_s))


class ShuttingDown(LivetallyError):
    """This process is shutting down: send it again, another one will take it."""

    status = 503
    code = "shutting_down"
    retry_after_s = 1


class ArchiveUnavailable(LivetallyError):
    """The archive can't be read or written just now: what is to go there waits in Postgres."""

    status = 503
    code = "archive_unavailable"
    retry_after_s = 30

    def __init__(self, cause: str = "other", message: str | None = None) -> None:
        super().__init__(message)
        #: What it is counted under.
        self.cause = cause


class QueueUnavailable(LivetallyError):
    """The queue can't be reached, or doesn't let us in."""

    status = 503
    code = "queue_unavailable"
    retry_after_s = 5


class BadMessage(LivetallyError):
    """The message is of no kind that the queue takes: see worker/README.md, Queues."""

    status = 422
    code = "bad_message"


class RefusedInPart(LivetallyError):
    """Some of the message was refused; the rest is counted."""

    status = 422
    code = "refused_in_part"


class MalformedObject(LivetallyError):
    """The object begins like gzip, but can't be unpacked to its end."""

    status = 422
    code = "malformed_object"


class ObjectMissing(LivetallyError):
    """The object is not there any more."""

    status = 404
    code = "object_missing"


class ObjectChanged(LivetallyError):
    """The object was overwritten before it was read: what it held is gone."""

    status = 409
    code = "object_changed"


class ObjectForbidden(LivetallyError):
    """The object may not be read, or its bucket is not there."""

    status = 403
    code = "object_forbidden"
