"""The parts of a page's address: compared as host names, not as text."""

import ipaddress
import re

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://([^/?#\\]*)", re.IGNORECASE)
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")


def host_of(address: str) -> str | None:
    """The host of an absolute address, in the one form that equal hosts share; None without one.

    No port, no user, no dot at the end; lower case, and letters beyond ASCII as they are looked up.
    """
    found = _ADDRESS.match(address.strip())
    if found is None:
        return None
    host = found[1].rpartition("@")[2].lower()
    if host.startswith("["):
        return _ipv6(host)
    host = host.partition(":")[0].removesuffix(".")
    try:
        host = host.encode("idna").decode()
    except UnicodeError:
        return None
    return host if len(host) <= 253 and _NAME.fullmatch(host) else None


def _ipv6(host: str) -> str | None:
    try:
        return f"[{ipaddress.IPv6Address(host[1:].partition(']')[0])}]"
    except ValueError:
        return None


def path_of(address: str) -> str:
    """The path of an address, whole or not, without query and fragment; "" if there is no address.

    Not `urlsplit`: that drops characters, and refuses some addresses.
    """
    if not address:
        return ""
    found = _ADDRESS.match(address)
    rest = address[found.end() :] if found else address
    return re.split(r"[?#]", rest, maxsplit=1)[0] or "/"
