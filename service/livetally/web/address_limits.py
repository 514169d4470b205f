"""How often an address may do something in this process: open a connection, show a wrong key.

These guard a process, not a promise to a customer: they ask nobody, and cost no round trip.
"""

import ipaddress
import math
import time
from collections import OrderedDict
from functools import lru_cache

from ..base.errors import RateLimited

#: Addresses in memory; one that falls out starts anew.
MAX_ADDRESSES = 10_000
#: Behind one IPv6 /64 is one customer, who could use each of its addresses once.
IPV6_PREFIX = 64


@lru_cache(maxsize=MAX_ADDRESSES)
def network_of(address: str) -> str:
    """What a limit on addresses counts as one."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address  # a Unix socket's peer
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, IPV6_PREFIX), strict=False))
    return address


class AddressLimit:
    """A token bucket for each address."""

    def __init__(self, rate: float, saved: float, what: str) -> None:
        self._rate = rate
        self._saved = saved
        self._what = what
        #: tokens, and when there were so many
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def check(self, address: str | None) -> None:
        """Raises RateLimited if an address has used up what it may."""
        if not self._rate or address is None:
            return
        tokens = self._tokens(network_of(address))
        if tokens < 1:
            raise RateLimited(
                f"This address has {self._what} too often: wait a moment.",
                (1 - tokens) / self._rate,
            )

    def give_back(self, address: str | None) -> None:
        self.spend(address, -1)

    def spend(self, address: str | None, tokens: float = 1) -> None:
        if not self._rate or address is None:
            return
        network = network_of(address)
        self._buckets[network] = (self._tokens(network) - tokens, time.monotonic())
        self._buckets.move_to_end(network)
        if len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)

    def _tokens(self, network: str) -> float:
        tokens, at = self._buckets.get(network, (self._saved, -math.inf))
        return min(self._saved, tokens + (time.monotonic() - at) * self._rate)
