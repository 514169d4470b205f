"""Whose request it is: the address of the client, also behind proxies.

Each proxy adds to `X-Forwarded-For` whom it heard from, on the right. What stands there is believed
only as far as trusted proxies vouch for it: anybody can send the header.
"""

import ipaddress
import logging
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from aiohttp import web

log = logging.getLogger(__name__)

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_networks(text: str) -> list[_Network]:
    """`10.0.0.0/8, 192.168.1.7`. Raises ValueError."""
    return [ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip()]


Find = Callable[[web.Request], str | None]
FIND: web.AppKey[Find] = web.AppKey("client_address")


class Peer(NamedTuple):
    """Where a connection comes from."""

    origin: str | None
    address: str | None


def peer_of(request: web.Request) -> Peer:
    return Peer(request.headers.get("Origin"), address_of(request))


def address_of(request: web.Request) -> str | None:
    """The client's address; None if it came by a proxy that nobody named.

    A neighbour that brings an `X-Forwarded-For` and isn't trusted is taken for one, and so is whose
    proxy has heard of an `unknown` (deploy/proxy/direct.conf): whoever is behind it is not to share
    the limits of one address.
    """
    address = request.app[FIND](request)
    heard = request.headers.get("X-Forwarded-For")
    if heard is None or not _is_near(address):
        return address
    if address != request.remote and not heard.startswith("unknown,"):
        return address
    _warn(address)
    return None


@lru_cache
def _warn(address: str | None) -> None:
    """Once for each."""
    log.warning(
        "%s says for whom it asks: if it is a proxy, name it in LIVETALLY_TRUSTED_PROXIES. Its"
        " clients are not limited by address.",
        address,
    )


def client_address(trusted: list[_Network]) -> Find:
    """What tells a request's client: the last address that no trusted proxy has."""

    def is_trusted(address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in trusted)

    def find(request: web.Request) -> str | None:
        address = request.remote
        if not trusted or address is None or not is_trusted(address):
            return address
        heard = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
        for hop in reversed([each.strip() for each in heard if each.strip()]):
            try:
                address = str(ipaddress.ip_address(hop))
            except ValueError:
                return address  # nonsense: the proxy that let it pass is all that is known
            if not is_trusted(address):
                return address
        return address

    return find


def _is_near(address: str | None) -> bool:
    try:
        return address is not None and ipaddress.ip_address(address.partition("%")[0]).is_private
    except ValueError:
        return False  # a Unix socket's peer
