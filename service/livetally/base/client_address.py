"""Whose request it is: the address of the client, also behind proxies.

Each proxy adds to `X-Forwarded-For` whom it heard from, on the right. What stands there is believed
only as far as trusted proxies vouch for it: anybody can send the header.
"""

import ipaddress
from collections.abc import Callable

from aiohttp import web

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_networks(text: str) -> list[_Network]:
    """`10.0.0.0/8, 192.168.1.7`. Raises ValueError."""
    return [ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip()]


def client_address(trusted: list[_Network]) -> Callable[[web.Request], str | None]:
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
