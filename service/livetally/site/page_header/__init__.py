"""What the pages that this server writes itself share with the built ones: the top, the colours.

The built pages have theirs from frontend/src: pages/shared/header.html and styles/base.css. A test
keeps the two alike.
"""

import base64
from importlib import resources

_FOLDER = resources.files(__name__)


def head(address: str) -> str:
    """The top of the page at this address, HTML; its own link is marked."""
    link = f'href="{address}"'
    return _read("masthead.html").replace(f"<a {link}>", f'<a {link} aria-current="page">')


def icon() -> str:
    """The icon, as an address that needs no request."""
    return "data:image/svg+xml;base64," + base64.b64encode(_read("icon.svg").encode()).decode()


def style() -> str:
    """Colours, top and focus, CSS; a page's own style goes after it."""
    return _read("masthead.css")


def _read(name: str) -> str:
    return _FOLDER.joinpath(name).read_text("utf-8")
