"""What an SQS message is: unwrapped, named, and told apart.

A message is records (a JSON event, item or device's report, an array of those, or NDJSON), or
tells of S3 objects whose lines are records. Either may come in an envelope of SNS.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import unquote_plus

import msgspec
from msgspec import Meta, Raw

from ..base.errors import BadMessage
from ..base.lines import BOM
from ..ingest.events import NOT_JSON, split

#: What a replayed message is sent again with: its events must keep their ids, its items their age.
FIRST_ID = "livetally-message-id"
FIRST_SENT = "livetally-sent-ms"
_TIME = re.compile(r"[0-9]{1,15}")
#: Attributes that hold an API key.
SECRET = ("x-api-key", "api_key", "api-key")
#: What is asked of SQS with each message.
ASKED: Mapping[str, Any] = {
    "MessageAttributeNames": ["All"],
    "MessageSystemAttributeNames": ["All"],
}


class Message(msgspec.Struct, frozen=True):
    """One message, as it was received this time."""

    #: SQS's own id; the same in the dead-letter queue
    sqs_id: str
    #: what its events are named by: SNS's id, or the one it had before a replay, or SQS's
    id: str
    receipt: str
    receives: int
    #: Unix time in ms at which it was first sent
    sent_ms: int
    body: str
    attributes: dict[str, str]


class Ref(msgspec.Struct, frozen=True):
    """One version of an object in S3."""

    bucket: str
    key: str
    version: str | None
    etag: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


class Records(msgspec.Struct, frozen=True):
    """The message's own JSON texts."""

    texts: Sequence[Raw | bytes]


class S3Objects(msgspec.Struct, frozen=True):
    """Objects that were created; none for other news of a bucket."""

    refs: list[Ref]


class _Sns(msgspec.Struct, rename="pascal"):
    message: str
    message_id: str
    topic_arn: str
    timestamp: datetime
    message_attributes: dict[str, dict[str, str]] = {}


class _Bucket(msgspec.Struct):
    #: a name, never an ARN: that could lead to another account
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,255}$")]


class _Object(msgspec.Struct, rename="camel"):
    key: Annotated[str, Meta(min_length=1)]
    e_tag: str = ""
    version_id: str | None = None


class _S3(msgspec.Struct):
    bucket: _Bucket
    object: _Object


class _News(msgspec.Struct, rename="camel"):
    event_name: str
    s3: _S3


_fields = msgspec.json.Decoder(dict[str, Raw])
_news = msgspec.json.Decoder(list[_News])
_sns = msgspec.json.Decoder(_Sns)


def received(raw: Mapping[str, Any]) -> Message:
    """A message as SQS gives it, out of its SNS envelope if it has one."""
    system = raw.get("Attributes", {})
    attributes = {
        name: value["StringValue"]
        for name, value in raw.get("MessageAttributes", {}).items()
        if "StringValue" in value
    }
    id = attributes.get(FIRST_ID) or raw["MessageId"]
    latest_ms = int(system.get("SentTimestamp", "0"))
    first_sent = attributes.get(FIRST_SENT, "")
    sent_ms = int(first_sent) if _TIME.fullmatch(first_sent) else latest_ms
    body = raw["Body"]
    if (sns := _envelope(body)) is not None:
        # SNS may deliver twice: as two messages of SQS with this one id.
        id, body, sent_ms = sns.message_id, sns.message, int(sns.timestamp.timestamp() * 1000)
        attributes |= {name: each.get("Value", "") for name, each in sns.message_attributes.items()}
    return Message(
        raw["MessageId"],
        id,
        raw["ReceiptHandle"],
        int(system.get("ApproximateReceiveCount", "1")),
        # Who sends a message may write any time into it; an item of the year 9999 would stay.
        min(sent_ms, latest_ms),
        body,
        attributes,
    )


def _envelope(body: str) -> _Sns | None:
    if '"TopicArn"' not in body:
        return None
    try:
        return _sns.decode(body)
    except NOT_JSON:
        return None


def content(body: str) -> Records | S3Objects:
    """What is in a message. Raises BadMessage, or what `events.split` does."""
    text = body.encode(errors="replace").strip().removeprefix(BOM)
    if not text.startswith((b"{", b"[")):
        text = _from_base64(text)
    if text.startswith(b"{"):
        fields = _fields_of(text)
        if "Records" in fields:
            return _objects(fields["Records"])
        if fields.get("Event") == b'"s3:TestEvent"':
            return S3Objects([])
    return Records(split(text))


def _from_base64(text: bytes) -> bytes:
    """An IoT rule may be told to encode what it sends."""
    try:
        decoded = base64.b64decode(text, validate=True).strip()
    except (binascii.Error, ValueError):
        return text
    return decoded if decoded.startswith((b"{", b"[")) else text


def _fields_of(text: bytes) -> dict[str, bytes]:
    try:
        return {name: bytes(raw).strip() for name, raw in _fields.decode(text).items()}
    except NOT_JSON:
        return {}  # `split` says what is wrong with it, or it is NDJSON


def _objects(records: bytes) -> S3Objects:
    try:
        news = _news.decode(records)
    except NOT_JSON as error:
        raise BadMessage(f"It has `Records`, but not as S3 tells of objects: {error}.") from None
    return S3Objects([_ref(each.s3) for each in news if "ObjectCreated:" in each.event_name])


def _ref(s3: _S3) -> Ref:
    version = s3.object.version_id
    # S3 writes keys here as a form would: a space is a plus.
    key = unquote_plus(s3.object.key)
    return Ref(s3.bucket.name, key, None if version == "null" else version, s3.object.e_tag)
