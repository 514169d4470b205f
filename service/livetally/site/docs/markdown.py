"""From Markdown to HTML, with an address for each heading, and the sections that a search finds."""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from inspect import cleandoc
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import html

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

#: Of the HTML that documents have, only this is taken: a place to link to.
_PLACE = re.compile(r'<a id="([\w-]+)"></a>')

#: Where a link leads; None: nowhere, its text stays.
Link = Callable[[str], str | None]


class Section(NamedTuple):
    """A heading and what stands under it."""

    id: str
    level: int
    title: str
    text: str


class Rendered(NamedTuple):
    html: str
    sections: list[Section]


def render(text: str, link: Link) -> Rendered:
    """A document."""
    parser = _parser()
    tokens = parser.parse(text)
    _name_headings(tokens)
    for token in tokens:
        if token.children:
            token.children = list(_linked(token.children, link))
        # The page's policy lets nothing have a style of its own.
        if align := token.attrs.pop("style", None):
            token.attrSet("class", str(align).replace(":", "-"))
    return Rendered(parser.renderer.render(tokens, parser.options, {}), list(_sections(tokens)))


def prose(text: str) -> str:
    """The little Markdown that a docstring has; of msgspec's the lines are still indented."""
    return str(_plain_parser().render(cleandoc(text)))


@cache
def _plain_parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).disable("code")


@cache
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.inline.ruler.push("place", _place)
    parser.add_render_rule("place", _render_place)
    parser.add_render_rule("fence", _render_code)
    parser.add_render_rule("code_block", _render_code)
    parser.add_render_rule("table_open", _render_table_open)
    parser.add_render_rule("table_close", _render_table_close)
    return parser


def _place(state: "StateInline", silent: bool) -> bool:
    found = _PLACE.match(state.src, state.pos)
    if found is None:
        return False
    if not silent:
        state.push("place", "a", 0).attrSet("id", found[1])
    state.pos = found.end()
    return True


def _render_place(renderer: Any, tokens: Any, index: int, *_: Any) -> str:
    return f"<a{renderer.renderAttrs(tokens[index])}></a>"


def _render_code(renderer: Any, tokens: Any, index: int, *_: Any) -> str:
    """Its number makes its name, and its button's, its own."""
    number = sum(each.type in ("fence", "code_block") for each in tokens[: index + 1])
    code = tokens[index].content.rstrip("\n")
    return html.fill("code.html", id=f"code-{number}", label=f"example {number}", code=code)


def _render_table_open(renderer: Any, tokens: Any, index: int, *_: Any) -> str:
    number = sum(each.type == "table_open" for each in tokens[: index + 1])
    return f'<div class="scroller" tabindex="0" role="group" aria-label="Table {number}"><table>\n'


def _render_table_close(renderer: Any, tokens: Any, index: int, *_: Any) -> str:
    return "</table></div>\n"


def _name_headings(tokens: "list[Token]") -> None:
    """As GitHub names them, so that a link works in both places."""
    seen: dict[str, int] = {}
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            id = re.sub(r"[^\w\- ]", "", _plain(inline).lower()).replace(" ", "-")
            number = seen[id] = seen.get(id, -1) + 1
            opening.attrSet("id", f"{id}-{number}" if number else id)


def _linked(children: "Iterable[Token]", link: Link) -> "Iterator[Token]":
    """Links lead where they lead here; of one that leads nowhere, the text is left."""
    kept: list[bool] = []
    for each in children:
        if each.type == "link_open":
            address = link(str(each.attrGet("href")))
            kept.append(address is not None)
            each.attrSet("href", address or "")
        elif each.type == "image":
            each.attrSet("src", link(str(each.attrGet("src"))) or "")
        if kept[-1] if each.type == "link_open" else each.type != "link_close" or kept.pop():
            yield each


def _sections(tokens: "list[Token]") -> Iterator[Section]:
    """Each heading with what stands under it, up to the next."""
    starts = [n for n, each in enumerate(tokens) if each.type == "heading_open"]
    for start, end in pairwise([*starts, len(tokens)]):
        heading, title = tokens[start], tokens[start + 1]
        words = " ".join(filter(None, map(_plain, tokens[start + 3 : end])))
        yield Section(str(heading.attrGet("id")), int(heading.tag[1]), _plain(title), words)


def _plain(token: "Token") -> str:
    """A token's words."""
    if token.type in ("fence", "code_block"):
        return token.content
    breaks = {"softbreak": " ", "hardbreak": " "}
    return "".join(breaks.get(each.type, each.content) for each in token.children or ())
