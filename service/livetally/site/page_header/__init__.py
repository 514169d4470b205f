"""What the pages that this server writes itself share with the built ones: the header, the colours.

Both are the front end's: tokens.css, reset.css and header.css are copies of those in
frontend/src/styles, to the letter, and a test compares them.
"""

import base64
from importlib import resources

#: The styles of all pages, in their order: what they are is decided in frontend/src/styles.
SHARED = ("tokens", "reset", "header")

_FOLDER = resources.files(__name__)


def head(address: str) -> str:
    """The top of the page at this address, HTML; its own link is marked."""
    link = f'href="{address}"'
    return _read("masthead.html").replace(f"<a {link}>", f'<a {link} aria-current="page">')


def icon() -> str:
    """The icon, as an address that needs no request."""
    return "data:image/svg+xml;base64," + base64.b64encode(_read("icon.svg").encode()).decode()


def style() -> str:
    """Colours, header and focus, CSS; a page's own style goes after it."""
    return "".join(_read(f"{name}.css") for name in (*SHARED, "masthead"))


def _read(name: str) -> str:
    return _FOLDER.joinpath(name).read_text("utf-8")
