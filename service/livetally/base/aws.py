"""AWS, or what answers like it: clients from the usual AWS_* variables, and failures by cause.

Nothing is tried again inside of a client: that would hide an outage for minutes. Who calls decides.
"""

import functools
import os
import re
from typing import Any, NamedTuple

from aiohttp import ClientError as HttpError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointProviderError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
)
from botocore.exceptions import ConnectionError as NoConnection

from .config import ConfigError

#: How long a receive may wait for a message. Who is told to stop waits for its end.
LONG_POLL_S = 3
_CONNECT_TIMEOUT_S = 3
_READ_TIMEOUT_S = 10

#: What a call to AWS raises.
FAILURES = (BotoCoreError, ClientError, HttpError, OSError, TimeoutError)

_CAUSES = {
    "access_denied": r"AccessDenied|AccessDeniedException|Forbidden|403|UnauthorizedOperation",
    "clock_skew": r"RequestTimeTooSkewed|RequestExpired|RequestInTheRequestFuture",
    "credentials": r"ExpiredToken.*|InvalidClientTokenId|UnrecognizedClient.*|InvalidAccessKeyId"
    r"|SignatureDoesNotMatch|InvalidToken|AuthFailure",
    "missing": r"(AWS\.SimpleQueueService\.)?(NonExistentQueue|QueueDoesNotExist)|NoSuchBucket"
    r"|NoSuchKey|NoSuchVersion|404|NotFound",
    "changed": r"PreconditionFailed|412",
    "throttled": r"Throttl.*|TooManyRequests.*|RequestThrottled|SlowDown|RequestLimitExceeded"
    r"|OverLimit|503|429",
    "unreachable": r"RequestTimeout",
}


class Fault(NamedTuple):
    """What went wrong: a cause to count under, AWS's own code, and its words."""

    cause: str
    code: str
    message: str


def fault(error: Exception) -> Fault:
    """Why a call to AWS failed."""
    if isinstance(error, ClientError):
        told = error.response.get("Error", {})
        code = str(told.get("Code", ""))
        if "Signature expired" in str(told.get("Message", "")):
            return Fault("clock_skew", code, str(error))
        causes = (cause for cause, codes in _CAUSES.items() if re.fullmatch(codes, code))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        kind = "server_error" if status >= 500 else "invalid" if status >= 400 else "other"
        return Fault(next(causes, kind), code, str(error))
    if isinstance(error, ParamValidationError | EndpointProviderError):
        return Fault("invalid", type(error).__name__, str(error))
    if isinstance(error, NoCredentialsError):
        return Fault("credentials", "", str(error))
    if isinstance(error, HTTPClientError | NoConnection | HttpError | OSError | TimeoutError):
        return Fault("unreachable", type(error).__name__, str(error) or "no answer in time")
    return Fault("other", type(error).__name__, str(error))


def client(service: str, queue_url: str = "") -> Any:
    """An async context manager that gives an aiobotocore client. Raises ConfigError."""
    from aiobotocore.config import AioConfig  # a third of a second: not for those without AWS

    bare = any(os.environ.get(name) for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"))
    config = AioConfig(
        connect_timeout=_CONNECT_TIMEOUT_S,
        read_timeout=_READ_TIMEOUT_S,
        retries={"total_max_attempts": 1},
        max_pool_connections=64,
        response_checksum_validation="when_required",
        # An address of one's own has no names for buckets.
        s3={"addressing_style": "path" if bare else "auto"},
    )
    return _session().create_client(service, region_name=region(queue_url), config=config)


def region(queue_url: str = "") -> str:
    """Where the calls go: AWS_REGION's, AWS_DEFAULT_REGION's or the profile's region, else the one
    in `queue_url`. Raises ConfigError."""
    given = os.environ.get("AWS_REGION") or _session().get_config_variable("region")
    in_url = re.match(r"https://sqs\.([a-z0-9-]+)\.", queue_url)
    if not given and in_url is None:
        raise ConfigError("AWS_REGION is not set")
    return str(given or (in_url[1] if in_url else ""))


def _session() -> Any:
    """A session of its own, with the environment's settings of now."""
    from aiobotocore.session import get_session

    session = get_session()
    session.register_component("data_loader", _loader())
    return session


@functools.cache
def _loader() -> Any:
    """What botocore knows of AWS's services: megabytes of JSON, to be read once."""
    from botocore.loaders import create_loader

    return create_loader()
