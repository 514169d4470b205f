"""The tests' own check of what goes out: what it lets through is exactly what is declared."""

import pytest

from livetally.schema.http import Item, SubjectTotal
from livetally.schema.live import Message
from service.tests.support.declared import is_declared


@pytest.mark.parametrize(
    ("body", "type_"),
    [
        (b'{"type":"click","subject":"red","total":1}', SubjectTotal),
        (b'{"type":"update","id":1,"totals":{"red":2},"total":2}', Message),
        (
            b'{"key":"v","id":"3","version":1,"updated_at":"2026-01-02T03:04:05Z","value": 1.50}',
            Item,
        ),
    ],
)
def test_declared(body: bytes, type_: object) -> None:
    assert is_declared(body, [int, type_])


@pytest.mark.parametrize(
    ("body", "type_"),
    [
        (b'{"type":"click","subject":"red","total":1,"more":1}', SubjectTotal),  # beside it
        (b'{"type":"click","subject":"red"}', SubjectTotal),  # less than it
        (b'{"type":"click","total":1,"subject":"red"}', SubjectTotal),  # not its encoding
        (b'{"type":"click","subject":"red","total":-1}', SubjectTotal),
        (b'{"type":"update","id":1,"total":2,"totals":{"red":2}}', Message),
        (b'{"type":"hello","id":1}', Message),
        (b'{"key":"van","id":"3","version":1,"value":1}', Item),
        (b"{", Message),
    ],
)
def test_not_declared(body: bytes, type_: object) -> None:
    assert not is_declared(body, [type_])
