"""A WSGI app that counts each request, by a client that was made before its workers."""

from collections.abc import Callable, Iterable

from livetally.client import Client

client = Client()


def app(environ: dict[str, object], start: Callable[..., object]) -> Iterable[bytes]:
    client.track("click", "request")
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
