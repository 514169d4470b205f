"""Who is asking: from the key in a request to its project and role.

Answers are kept for a few seconds, so that a busy page costs one look-up, and a revoked key ends
within 5 s in every process.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar
from urllib.parse import unquote

import msgspec
from aiohttp import web

from ..base.client_address import Peer, address_of
from ..base.errors import ForeignOrigin, MissingKey, NotFoundError, UnknownKey, WrongRole
from ..db.database import Database
from ..schema.keys import ORIGIN, Role
from .address_limits import AddressLimit

#: Revocation is promised within 5 s; a look-up may take one of them.
CACHE_S = 3.5
#: A key that isn't known is asked for again sooner: it may have just been made.
UNKNOWN_CACHE_S = 1.0
CACHE_SIZE = 10_000
UNKNOWN_CACHE_SIZE = 1_000
#: Wrong keys that an address may show a second, and at once. A page whose key was revoked shows one
#: and the same, which is remembered.
WRONG_KEYS = (10, 100)
#: A longer origin than this is nobody's: a host name has 253 characters.
MAX_ORIGIN = 300


_T = TypeVar("_T")


def hash_key(key: str) -> bytes:
    """What is stored of a key. Ours are 256 random bits: a plain digest can't be searched."""
    # What a header holds may not be text; it is no key of ours then.
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()


class Key(msgspec.Struct, frozen=True):
    """A live API key."""

    id: int
    project: int
    project_name: str
    name: str
    role: Role
    hash: bytes
    origins: list[str]
    #: Events a second; None: as many as can be stored.
    rate: int | None = None

    def require(self, role: Role, origin: str | None) -> None:
        """Raises WrongRole, or ForeignOrigin for a key that is bound to other origins."""
        if not self.role.allows(role):
            raise WrongRole(f"This needs a {role} key; {self.name!r} is a {self.role} key.")
        if self.origins and origin not in self.origins:
            raise ForeignOrigin


def key_in(headers: Mapping[str, str]) -> str | None:
    """The key in a request's headers, in any of the ways that clients send one, or None."""
    if key := headers.get("x-api-key"):
        return key
    value = headers.get("Authorization", "").strip()
    scheme, _, rest = value.partition(" ")
    rest = rest.strip()
    match scheme.lower():
        case "":
            return None
        case "basic":
            return _password(rest)
        case "token":
            return _token(rest)
        case "bearer":
            return rest or None
    return value


def key_of(request: web.Request) -> str | None:
    """The key of a request: in its headers or, for what can't set any (a beacon, a browser's
    websocket or EventSource), in its query."""
    key = key_in(request.headers)
    # Looked for in the text: whatever a request or its URL is asked, it keeps as long as it lives.
    return key or (request.query.get("api_key") if "?" in str(request.rel_url) else None)


def _token(parameters: str) -> str | None:
    """The first one, named or not; Rails' clients may send others after it, like a nonce."""
    first = re.split("[,;\t]", parameters, maxsplit=1)[0].strip()
    return first.removeprefix("token=").strip('"') or None


def _password(credentials: str) -> str | None:
    try:
        text = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return unquote(text.partition(":")[2]) or None


class _Cached(msgspec.Struct):
    key: Key
    until: float


def _keep(cache: OrderedDict[bytes, _T], name: bytes, value: _T, size: int) -> None:
    """The newest `size` of them."""
    cache[name] = value
    cache.move_to_end(name)
    if len(cache) > size:
        cache.popitem(last=False)


_Ask = Callable[[bytes], Awaitable[Key | None]]


class Auth:
    """Looks keys up, with a short memory."""

    def __init__(self, database: Database) -> None:
        self._database = database
        #: Keys by their hash, and apart from them what nobody has: junk drives no key out.
        self._cache: OrderedDict[bytes, _Cached] = OrderedDict()
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        self._wrong = AddressLimit(*WRONG_KEYS, "shown wrong keys")
        self._lookups: dict[bytes, asyncio.Task[Key | None]] = {}

    async def find(self, key: str | None, address: str | None) -> Key:
        """The live key, as it was at most `CACHE_S` ago; `address` is who shows it.

        Raises MissingKey, UnknownKey, RateLimited if it shows many that are wrong, or
        DatabaseUnavailable when it has to ask and can't.
        """
        if not key:
            raise MissingKey
        found = await self._find(hash_key(key), self._ask, address)
        if found is None:
            raise UnknownKey
        return found

    async def _find(self, name: bytes, ask: _Ask, address: str | None) -> Key | None:
        now = time.monotonic()
        cached = self._cache.get(name)
        if cached is not None and cached.until > now:
            return cached.key
        if self._unknown.get(name, 0) > now:
            return None
        if cached is not None:  # what was good a while ago doesn't pay for its neighbours
            return await self._look_up(name, ask)
        self._wrong.check(address)
        self._wrong.spend(address)  # before it is known, or many at once would be let in
        found = await self._look_up(name, ask)
        if found is not None:
            self._wrong.give_back(address)
        return found

    async def admit(self, request: web.Request, role: Role) -> Key:
        """The key that came with a request, if it allows this role. Raises what `find` and
        `Key.require` do."""
        key = await self.find(key_of(request), address_of(request))
        key.require(role, request.headers.get("Origin"))
        return key

    async def find_by_origin(self, peer: Peer) -> Key:
        """The write key that is bound to a peer's origin, if only one project's are.

        Raises MissingKey, RateLimited, or DatabaseUnavailable when it has to ask and can't.
        """
        origin = peer.origin
        if origin is None or len(origin) > MAX_ORIGIN or not ORIGIN.fullmatch(origin):
            raise MissingKey
        name = b"origin " + origin.encode()
        found = await self._find(name, self._ask_by_origin, peer.address)
        if found is None:
            raise MissingKey(f"No key, and the origin {origin} doesn't belong to just one project.")
        return found

    async def find_given(self, request: web.Request) -> Key | None:
        """The key that came with a websocket's request, of whatever role; None without one.

        Raises what `find` does, or ForeignOrigin.
        """
        text = key_of(request)
        if not text:
            return None
        key = await self.find(text, address_of(request))
        key.require(key.role, request.headers.get("Origin"))
        return key

    async def project_named(self, name: str) -> int:
        """The project that an admin asks about. Raises NotFoundError, or DatabaseUnavailable."""
        rows = await self._database.rows("project_by_name", name)
        if not rows:
            raise NotFoundError(f"There is no project {name!r}.")
        return int(rows[0]["id"])

    async def still_valid(self, key: Key) -> bool:
        """Whether a key found earlier is live. Raises DatabaseUnavailable."""
        return await self._find(key.hash, self._ask, None) is not None

    async def _look_up(self, name: bytes, ask: _Ask) -> Key | None:
        """Ask Postgres, once however many requests are waiting for the same key."""
        lookup = self._lookups.get(name)
        if lookup is None:
            lookup = asyncio.create_task(self._remember(name, ask))
            self._lookups[name] = lookup
            lookup.add_done_callback(lambda _: self._lookups.pop(name, None))
        # One impatient client that goes away must not cancel it for the others.
        return await asyncio.shield(lookup)

    async def _remember(self, name: bytes, ask: _Ask) -> Key | None:
        asked = time.monotonic()
        key = await ask(name)
        if key is None:
            self._cache.pop(name, None)
            _keep(self._unknown, name, asked + UNKNOWN_CACHE_S, UNKNOWN_CACHE_SIZE)
        else:
            self._unknown.pop(name, None)
            _keep(self._cache, name, _Cached(key, asked + CACHE_S), CACHE_SIZE)
        return key

    async def _ask(self, digest: bytes) -> Key | None:
        rows = await self._database.rows("key_by_hash", digest)
        key = msgspec.convert(rows[0], Key) if rows else None
        # The index found it by its hash; the comparison that decides takes constant time.
        if key is not None and not hmac.compare_digest(key.hash, digest):
            return None
        return key

    async def _ask_by_origin(self, name: bytes) -> Key | None:
        origin = name.partition(b" ")[2].decode()
        rows = await self._database.rows("keys_by_origin", origin)
        keys = msgspec.convert(rows, list[Key])
        return keys[0] if len({key.project for key in keys}) == 1 else None
