"""What only the tests of the archive stand on."""

from collections.abc import Iterator

import pytest

from livetally.dev.aws import LocalAws
from service.tests.support.archives import (
    Buckets,
    environment,
)


@pytest.fixture
def buckets(aws_server: LocalAws) -> Iterator[Buckets]:
    with environment(aws_server.environ):
        yield Buckets(aws_server)
