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
    """The server couldn't be reached, or couldn't store it, for as long as was waited."""

    code = "unavailable"


class QueueFull(ClientError):
    """More events wait to be sent than the queue takes: this one was not taken."""

    code = "queue_full"


class Closed(ClientError):
    """The client is closed."""

    code = "closed"


def refusal(status: int, code: str, message: str) -> ClientError:
    """The error for an answer of this status."""
    kinds: dict[int, type[ClientError]] = {
        401: Unauthorized,
        403: Forbidden,
        404: NotFound,
        409: Conflict,
    }
    if status in kinds:
        return kinds[status](message, code)
    return Unavailable(message, code) if may_pass(status) else Refused(message, code)


def may_pass(status: int) -> bool:
    """Whether the same request may be taken later. A bug's 500 also: ids make that safe."""
    return status in (408, 425, 429) or status >= 500
