"""Queue in: every kind of message is counted once, whatever happens on the way, and what is bad
ends with the dead letters, with its reason."""

import base64
import gzip
import io
import json
from typing import Any

import pytest

from livetally.schema.keys import Role
from service.tests.support.aws import Account, ndjson
from service.tests.support.postgres import make_keys, query, totals_in

RED = {"type": "click", "subject": "red"}


def items_in(database_url: str) -> dict[tuple[str, str], Any]:
    return {
        (key, id): value
        for key, id, value in query(database_url, "SELECT key, id, value FROM items")
    }


def refusals_in(database_url: str) -> list[tuple[int, str]]:
    return query(database_url, "SELECT line, cause FROM queue_refusals ORDER BY message, line")


async def test_a_message_is_an_event_an_array_or_lines(
    account: Account, database_url: str, work: Any
) -> None:
    """Direct messages count; those that are done are deleted, and the s3:TestEvent is no event."""
    account.send(RED)
    account.send([RED, RED | {"subject": "blue"}])
    account.send(ndjson([RED, RED]).decode())
    account.send(base64.b64encode(json.dumps(RED).encode()).decode())
    await work()
    assert totals_in(database_url) == {"": 6, "red": 5, "blue": 1}
    assert account.dead() == []
    assert refusals_in(database_url) == []


async def test_news_of_no_object_needs_no_key(
    account: Account, database_url: str, work: Any
) -> None:
    """What S3 sends when a bucket is told of the queue, and that an object is gone, is done with at
    once, also where messages without a key are refused."""
    gone = {
        "eventName": "ObjectRemoved:Delete",
        "s3": {"bucket": {"name": "b"}, "object": {"key": "k"}},
    }
    account.send({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"})
    account.send({"Records": [gone]})
    await work(queue_project="")
    assert account.dead() == []
    assert refusals_in(database_url) == []


@pytest.mark.parametrize("raw", ["false", "true"])
async def test_what_a_topic_delivers(
    account: Account, database_url: str, work: Any, demo_keys: dict[Role, str], raw: str
) -> None:
    """An SNS envelope is opened, its attributes count like the message's own, and the two copies
    that SNS may deliver of one notice are one event. Raw delivery has no envelope."""
    (subscription,) = account.sns.list_subscriptions_by_topic(TopicArn=account.made.topic_arn)[
        "Subscriptions"
    ]
    account.sns.set_subscription_attributes(
        SubscriptionArn=subscription["SubscriptionArn"],
        AttributeName="RawMessageDelivery",
        AttributeValue=raw,
    )
    attribute = {"DataType": "String", "StringValue": demo_keys[Role.WRITE]}
    account.sns.publish(
        TopicArn=account.made.topic_arn,
        Message=json.dumps(RED),
        MessageAttributes={"x-api-key": attribute},
    )
    if raw == "false":
        # The bucket's test event is there too.
        bodies = [each["Body"] for each in peek(account, 2)]
        account.send(next(body for body in bodies if "TopicArn" in body))
    await work(queue_project="")
    assert totals_in(database_url) == {"": 1, "red": 1}


def peek(account: Account, count: int) -> list[dict[str, Any]]:
    """Look at some messages and let them go again."""
    url, found = account.made.queue_url, {}
    while len(found) < count:
        answer = account.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        found |= {each["MessageId"]: each for each in answer.get("Messages", [])}
    for each in found.values():
        account.sqs.change_message_visibility(
            QueueUrl=url, ReceiptHandle=each["ReceiptHandle"], VisibilityTimeout=0
        )
    return list(found.values())


def packed(*parts: bytes) -> bytes:
    """A gzip of several members, as appending makes one."""
    return b"".join(map(gzip.compress, parts))


async def test_an_object_is_read_line_by_line(
    account: Account, database_url: str, work: Any
) -> None:
    """What the bucket tells of is read, plain or packed, under any name; what lies elsewhere, or
    was deleted, is not."""
    account.put("inbox/a b+ü&%.ndjson", ndjson([RED] * 3))
    account.put("inbox/none", b"")
    account.put("inbox/no-end", json.dumps(RED).encode())
    account.put("inbox/crlf", json.dumps(RED).encode() + b"\r\n\r\n")
    account.put("inbox/packed", packed(ndjson([RED] * 2_500), b"", ndjson([RED] * 2)) + b"\0" * 99)
    account.put("elsewhere/a", ndjson([RED] * 7))
    await work()
    assert totals_in(database_url)[""] == 3 + 1 + 1 + 2_502
    assert account.dead() == []


async def test_the_same_object_counts_once_its_next_version_anew(
    account: Account, database_url: str, work: Any
) -> None:
    """Told of twice, straight and through the topic, an object's lines count once; what is written
    in its place counts anew."""
    account.put("inbox/a", ndjson([RED, RED]))
    body = next(each["Body"] for each in peek(account, 2) if "Records" in each["Body"])
    account.send(body)
    account.sns.publish(TopicArn=account.made.topic_arn, Message=body)
    await work()
    assert totals_in(database_url)[""] == 2
    account.put("inbox/a", ndjson([RED, RED, RED]))
    await work()
    assert totals_in(database_url)[""] == 5


async def test_items_and_devices(account: Account, database_url: str, work: Any) -> None:
    """An item is stored; a device's report becomes the item that is named like its id."""
    account.send({"key": "price", "id": "a", "value": {"eur": 1}})
    report = {"device_id": "truck-7", "position": {"lat": 41.40, "lon": 2.2}, "sensors": {"t": 4}}
    account.send(report | {"clientId": "mqtt-1"})
    account.put("inbox/reports", b'{"vehicleId":7,"lat":41.40}\n{"vehicleId":7,"lat":41.50}\n')
    await work()
    rest = {name: value for name, value in report.items() if name != "device_id"}
    assert items_in(database_url) == {
        ("price", "a"): {"eur": 1},
        ("device-id", "truck-7"): rest | {"clientId": "mqtt-1"},
        ("vehicle-id", "7"): {"lat": 41.5},
    }


async def test_bad_items_do_not_stop_the_others(
    account: Account, database_url: str, work: Any
) -> None:
    """What Postgres couldn't hold, or not as it was sent, is refused by its line: a
    version or a depth beyond all bounds, U+0000, half a character, a name that is there twice."""
    item = b'{"key":"price","id":"a","value":%s}'
    bad = [
        b'{"key":"price","id":"a","value":1,"version":9223372036854775808}',
        b'{"key":"price","id":"a","value":1,"version":%s}' % (b"9" * 400),
        item % (b"[" * 40 + b"]" * 40),
        item % b'"\\u0000"',
        item % b'"\\ud83d"',
        item % b'{"a":1,"a":2}',
        item % b"1e999",
        item % b"",
        b'{"device_id":"truck-7","speed":1,"speed":2}',
        b'{"device_id":"","speed":1}',
        b'{"device_id":"\\u0000","speed":1}',
    ]
    good = [item % b"1.10", b'{"device_id":%s,"speed":1}' % (b"7" * 40)]
    account.put("inbox/items", b"\n".join([good[0], *bad, good[1]]))
    await work()
    assert items_in(database_url) == {("price", "a"): 1.1, ("device-id", "7" * 40): {"speed": 1}}
    assert [line for line, _ in refusals_in(database_url)] == [0, *range(2, len(bad) + 2)]
    assert account.dead() == []


async def test_what_postgres_does_not_take_is_found(
    account: Account, database_url: str, work: Any
) -> None:
    """An event that passes every check, and that Postgres refuses all the same, is refused by its
    line; those that were to be committed with it count."""
    query(
        database_url,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '22023'; END$$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW"
        " WHEN (NEW.subject = 'poison') EXECUTE FUNCTION refuse()",
    )
    lines = [RED] * 9
    lines[3] = lines[7] = RED | {"subject": "poison"}
    account.put("inbox/some", ndjson(lines))
    await work()
    assert totals_in(database_url) == {"": 7, "red": 7}
    assert [line for line, _ in refusals_in(database_url)] == [0, 4, 8]
    assert account.dead() == []


async def test_an_item_never_goes_back(account: Account, database_url: str, work: Any) -> None:
    """A message that comes late or twice doesn't undo what was sent after it."""
    old = account.send({"key": "price", "id": "a", "value": 1})
    account.send({"key": "price", "id": "a", "value": 2})
    await work()
    account.send({"key": "price", "id": "a", "value": 1}, **replayed(old))
    await work()
    assert items_in(database_url) == {("price", "a"): 2}
    assert query(database_url, "SELECT version FROM items")[0][0] in (1, 2)


@pytest.mark.parametrize("how", ["attribute", "envelope", "a long number"])
async def test_no_message_is_of_the_future(
    account: Account, database_url: str, work: Any, how: str
) -> None:
    """Who sends a message can write any time into it: it counts for no later than SQS took it, or
    one message would keep its item as it is until the year 9999."""
    item = {"key": "price", "id": "a", "value": 1}
    if how == "envelope":
        account.send(
            {
                "Type": "Notification",
                "TopicArn": "arn:aws:sns:us-east-1:1:t",
                "MessageId": "m",
                "Timestamp": "9999-12-31T00:00:00Z",
                "Message": json.dumps(item),
            }
        )
    else:
        forged = 99999999999999 if how == "attribute" else 10**40
        account.send(item, **replayed("m", forged))
    await work()
    account.send({"key": "price", "id": "a", "value": 2})
    await work()
    assert items_in(database_url) == {("price", "a"): 2}


def replayed(id: str, sent_ms: int = 1) -> dict[str, str]:
    return {"livetally-message-id": id, "livetally-sent-ms": str(sent_ms)}


async def test_keys_are_checked(account: Account, database_url: str, work: Any) -> None:
    """A key decides the project and must be allowed to write; without one it is the queue's own
    project, and no other can be named."""
    other = await make_keys(database_url, "other")
    account.send(RED, api_key=other[Role.WRITE])
    account.send(RED, api_key=other[Role.WRITE], project="other")
    account.send(RED, project="demo")
    bad = [
        account.send(RED, api_key=other[Role.READ]),
        account.send(RED, api_key=other[Role.WRITE], project="demo"),
        account.send(RED, api_key="lt_write_nobodys"),
        account.send(RED, project="other"),
    ]
    await work()
    assert totals_in(database_url)[""] == 1
    ((id,),) = query(database_url, "SELECT id FROM projects WHERE name = 'other'")
    assert totals_in(database_url, project=id)[""] == 2
    assert sorted(each["MessageId"] for each in account.dead()) == sorted(bad)
    causes = {cause for _, cause in refusals_in(database_url)}
    assert causes == {"wrong_role", "unknown_key", "missing_key"}


async def test_bad_messages_are_the_dead_letters(
    account: Account, database_url: str, work: Any
) -> None:
    """What is no event is refused, recorded with its reason, and ends in the dead-letter queue; of
    an array the good ones count, once, and the whole is kept."""
    bad = [
        account.send("hello"),
        account.send("[" * 100_000),
        account.send('{"Records":[{"eventSource":"aws:s3"}]}'),
        account.send({"type": "click"}),
        account.send([RED, {"type": "", "subject": "x"}, RED]),
        account.send({"key": "price", "id": "a", "value": None}),
        account.send({"type": "click", "subject": "\0"}),
    ]
    account.send(RED)
    await work()
    assert totals_in(database_url)[""] == 3
    assert sorted(each["MessageId"] for each in account.dead()) == sorted(bad)
    rows = query(
        database_url,
        "SELECT cause, receives, reason, head FROM queue_refusals WHERE message = %s ORDER BY line",
        bad[4],
    )
    assert [row[0] for row in rows] == ["refused_in_part", "invalid_event"]
    assert rows[0][1] == 2
    assert rows[0][2].startswith("1 of 3 records were refused. The first is number 2: `type`: ")
    assert rows[1][3] == '{"type": "", "subject": "x"}'


async def test_a_bad_line_does_not_stop_the_others(
    account: Account, database_url: str, work: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The good lines of an object count, the bad ones are recorded by number and said in the log;
    the message is done. An object without a good line is refused."""
    lines = [json.dumps(RED).encode()] * 5
    lines[1] = b"no"
    lines[3] = b'{"type":"click","subject":"\xff"}'
    account.put("inbox/some", b"\n".join(lines))
    account.put("inbox/image", b"\x89PNG\r\n\x1a\n" * 10)
    account.put("inbox/cut", gzip.compress(ndjson([RED] * 4))[:-9])
    await work()
    assert totals_in(database_url)[""] == 3 + 4
    dead = [
        json.loads(each["Body"])["Records"][0]["s3"]["object"]["key"] for each in account.dead()
    ]
    assert sorted(dead) == ["inbox%2Fcut", "inbox%2Fimage"]
    rows = query(
        database_url,
        "SELECT line, cause FROM queue_refusals WHERE object LIKE '%%/some' ORDER BY line",
    )
    assert rows == [(0, "refused_in_part"), (2, "malformed_json"), (4, "malformed_json")]
    assert "2 of 5 lines were refused. The first is number 2" in caplog.text
    assert ("malformed_object",) in query(database_url, "SELECT cause FROM queue_refusals")


async def test_an_object_that_is_gone(account: Account, database_url: str, work: Any) -> None:
    """An object that was deleted or replaced before it was read can't be counted: its message is
    kept, with the reason, and the new version is counted by its own message."""
    account.put("inbox/deleted", ndjson([RED]))
    account.s3.delete_object(Bucket=account.made.bucket, Key="inbox/deleted")
    account.put("inbox/replaced", ndjson([RED]))
    account.put("inbox/replaced", ndjson([RED, RED]))
    await work()
    assert totals_in(database_url)[""] == 2
    assert {cause for _, cause in refusals_in(database_url)} == {"object_missing", "object_changed"}
    assert len(account.dead()) == 2


async def test_hostile_lines_stay_within_bounds(
    account: Account, database_url: str, work: Any
) -> None:
    """A line without an end, a bomb of a thousand to one, and deep nesting are refused by number;
    what stands beside them counts."""
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb", compresslevel=9) as file:
        file.write(ndjson([RED]))
        for _ in range(200):
            file.write(b"a" * 1_000_000)
        file.write(b"\n" + b"[" * 500_000 + b"\n" + b"\n" * 3_000_000)
        file.write(ndjson([RED]))
    account.put("inbox/bomb", bomb.getvalue())
    await work()
    assert totals_in(database_url)[""] == 2
    assert refusals_in(database_url) == [
        (0, "refused_in_part"),
        (2, "too_large"),
        (3, "invalid_event"),
    ]


@pytest.mark.parametrize(
    ("bucket", "key", "version", "cause"),
    [
        ("127.0.0.1:1", "k", None, "bad_message"),
        ("arn:aws:s3:us-east-1:123456789012:accesspoint/x", "k", None, "bad_message"),
        ("a\nb", "k", None, "bad_message"),
        ("", "k", None, "bad_message"),
        ("OWN", "", None, "bad_message"),
        ("OWN", "inbox/a", "no-such-version", "object_missing"),
    ],
)
async def test_an_object_that_can_t_be_named_holds_nothing_up(
    account: Account,
    database_url: str,
    work: Any,
    bucket: str,
    key: str,
    version: str | None,
    cause: str,
) -> None:
    """What S3 never says of an object, and what it won't hear: refused, and soon with the dead
    letters; nobody waits for it."""
    about = {
        "bucket": {"name": bucket.replace("OWN", account.made.bucket)},
        "object": {"key": key, "versionId": version},
    }
    for _ in range(5):  # more than are read at the same time
        account.send({"Records": [{"eventName": "ObjectCreated:Put", "s3": about}]})
    account.send(RED)
    await work()
    assert totals_in(database_url) == {"": 1, "red": 1}
    assert len(account.dead()) == 5
    assert {found for _, found in refusals_in(database_url)} == {cause}
