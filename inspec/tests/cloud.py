"""A simulated AWS that can be broken on purpose, one slip after the other, and mended again."""

import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from terraform.tests import moto_server
from terraform.tests.cloud import Moto

moto_server.fill()


class Cloud(Moto):
    """moto in this process: what AWS has no call to change is changed in its memory."""

    inputs: dict[str, Any]

    def __init__(self) -> None:
        super().__init__(Path("moto.log"))  # never written: what it says is said here

    def __enter__(self) -> "Cloud":
        self._server = ThreadedMotoServer("127.0.0.1", self._port, verbose=False)
        self._server.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.stop()

    def memory(self, service: str, region: str = "eu-central-1") -> Any:
        """What moto has in mind of a service."""
        return get_backend(service)[DEFAULT_ACCOUNT_ID][region]

    def another_key(self) -> str:
        """A key that isn't the environment's."""
        return str(self.client("kms").create_key()["KeyMetadata"]["Arn"])

    def forget(self) -> None:
        """An empty account."""
        reset = urllib.request.Request(f"{self.url}/moto-api/reset", method="POST")  # noqa: S310
        urllib.request.urlopen(reset).close()  # noqa: S310


#: What is wrong for a while; and what makes it so.
Made = AbstractContextManager[None]
Slip = Callable[[Cloud], Made]


@contextmanager
def kept(thing: Any, name: str, value: object) -> Iterator[None]:
    """An attribute, or an item, has another value. One that isn't there is an error."""
    get: Callable[[str], Any] = partial(getattr, thing)
    put: Callable[[str, Any], None] = partial(setattr, thing)
    if isinstance(thing, dict):
        get, put = thing.__getitem__, thing.__setitem__
    before = get(name)
    put(name, value)
    try:
        yield
    finally:
        put(name, before)


@contextmanager
def told(
    call: Callable[..., Any], wrong: dict[str, Any], right: dict[str, Any], **both: Any
) -> Iterator[None]:
    """A call with one value, and later with the one that was right."""
    call(**both, **wrong)
    try:
        yield
    finally:
        call(**both, **right)


@contextmanager
def between(do: Callable[..., Any], undo: Callable[..., Any], **both: Any) -> Iterator[None]:
    """A call, and later its opposite."""
    do(**both)
    try:
        yield
    finally:
        undo(**both)
