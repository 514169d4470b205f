"""What can go wrong, as seen by a client. All of them are ClientErrors."""

from collections.abc import Sequence

from ..schema.http import Ack, Rejected


class ClientError(Exception):
    """Something can't be done. `code` is the server's word for it."""

    code = "client_error"

    def __init__(self, message: str | None = None, code: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())
        if code is not None:
            self.code = code


class Unauthorized(ClientError):
    """There is no key, or the server doesn't know it (any more)."""

    code = "unknown_key"


class Forbidden(ClientError):
    """This key's role doesn't allow that, or it is bound to a page's origin."""

    code = "wrong_role"


class NotFound(ClientError):
    """There is nothing there."""

    code = "not_found"


class Conflict(ClientError):
    """The item has another version by now: read it again, and decide again."""

    code = "version_conflict"


class Refused(ClientError):
    """The server won't take this, however often it is sent.

    `rejected` says of every refused event why; `ack` what became of all of them.
    """

    code = "refused"

    def __init__(
        self,
        message: str,
        code: str | None = None,
        rejected: Sequence[Rejected] = (),
        ack: Ack | None = None,
    ) -> None:
        super().__init__(message, code)
        self.rejected = list(rejected)
        self.ack = ack


class Unavailable(ClientError):
    """The server couldn't be reached, or couldn't store it, for as long as was waited.

    `wait_s` is for how long the server wants to be left alone, `untouched` whether it is certain
    that nothing was done.
    """

    code = "unavailable"

    def __init__(
        self,
        message: str | None = None,
        code: str | None = None,
        *,
        wait_s: float = 0.0,
        untouched: bool = False,
    ) -> None:
        super().__init__(message, code)
        self.wait_s = wait_s
        self.untouched = untouched


class Redirected(Unavailable):
    """The address leads elsewhere. The key doesn't go along: give the address that is meant."""

    code = "redirected"


class QueueFull(ClientError):
    """More events wait to be sent than the queue takes: this one was not taken."""

    code = "queue_full"


class Closed(ClientError):
    """The client is closed."""

    code = "closed"


#: Livetally's own words for what won't get better by waiting. Whatever else is said (by a login
#: page, a proxy, a firewall) may be over in a minute: it costs a pause, and never an event.
FINAL: dict[str, type[ClientError]] = {
    **dict.fromkeys(("missing_key", "unknown_key"), Unauthorized),
    **dict.fromkeys(("wrong_role", "foreign_origin"), Forbidden),
    "not_found": NotFound,
    **dict.fromkeys(("conflict", "version_conflict"), Conflict),
    **dict.fromkeys(("bad_request", "malformed_json", "bad_position"), Refused),
    **dict.fromkeys(("unprocessable", "unsupported_media_type", "unstorable_event"), Refused),
    **dict.fromkeys(("too_large", "too_many_events", "no_valid_event"), Refused),
    **dict.fromkeys(("invalid_event", "properties_too_large", "too_deep"), Refused),
    **dict.fromkeys(("duplicate_key", "nul_character"), Refused),
}

#: Words of Livetally's that others may say too. It says them of a request, never of a single event
#: that this client has checked.
ANYBODYS = frozenset(
    ("bad_request", "unprocessable", "unsupported_media_type", "too_large", "too_many_events")
)


def may_pass(status: int) -> bool:
    """Whether the same request may be taken later. A bug's 500 also: ids make that safe."""
    return status in (408, 425, 429) or status >= 500
