"""An object of S3 as a stream that goes on after a cut, and is always the one that was told of."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Any

from ..base.aws import FAILURES, Fault, fault
from ..base.backoff import Backoff
from ..base.errors import BadMessage, LivetallyError, ObjectChanged, ObjectForbidden, ObjectMissing
from ..base.lines import STEP_BYTES
from ..ops.metrics import Metrics
from .message import Ref

log = logging.getLogger(__name__)

#: Between two attempts to read on.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 10.0


def _refusal(found: Fault) -> LivetallyError | None:
    """What no other attempt would mend, as the message's fault; None for what may pass."""
    match found.cause:
        case "missing" if found.code != "NoSuchBucket":
            return ObjectMissing()
        case "missing" | "access_denied":
            return ObjectForbidden(f"The object may not be read: {found.message}")
        case "changed":
            return ObjectChanged()
        case "invalid":
            return BadMessage(f"S3 takes it for no object: {found.message}")
    return None


async def read(s3: Any, ref: Ref, metrics: Metrics) -> AsyncGenerator[bytes, None]:
    """The object's bytes in steps. While S3 is away it waits, then reads on where it was.

    Raises ObjectMissing, ObjectChanged, ObjectForbidden or BadMessage.
    """
    at, whole = 0, False
    backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
    while not whole:
        try:
            answer = await s3.get_object(**_asked(ref, at))
            async with answer["Body"] as body:
                while chunk := await body.read(STEP_BYTES):
                    at += len(chunk)
                    backoff.reset()
                    metrics.object_bytes.inc(len(chunk))
                    yield chunk
            whole = True
        except FAILURES as error:
            found = fault(error)
            if found.code in ("InvalidRange", "416"):
                return  # the cut was at the very end
            metrics.aws_failures.labels("s3", found.cause).inc()
            if (refused := _refusal(found)) is not None:
                raise refused from None
            log.log(
                logging.WARNING if backoff.failures == 0 else logging.DEBUG,
                "%s can't be read, from byte %d (%s): %s",
                *(ref, at, found.cause, found.message),
            )
            await asyncio.sleep(backoff.next_s())


def _asked(ref: Ref, at: int) -> dict[str, str]:
    asked = {"Bucket": ref.bucket, "Key": ref.key}
    if ref.version:
        asked["VersionId"] = ref.version
    elif ref.etag:
        asked["IfMatch"] = f'"{ref.etag}"'
    if at:
        asked["Range"] = f"bytes={at}-"
    return asked
