"""/docs: every document of the repository, with links that lead somewhere, and a search."""

import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

from livetally.site.docs import markdown
from livetally.site.docs.documents import Documents
from service.tests.support.paths import ROOT
from service.tests.support.server import Service

DOCUMENTS = Documents()
ADDRESSES = [each.address for each in DOCUMENTS.all]


class Page(HTMLParser):
    """What a page's elements say."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if "href" in given else []
        self.images += [given["src"]] if tag == "img" else []
        assert "style" not in given
        assert tag != "script" or given["src"]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
async def pages(service: Service) -> dict[str, Page]:
    """Every page, by its address."""
    found = {}
    for address in ADDRESSES:
        async with service.http.get(address) as response:
            assert response.status == 200, address
            assert response.content_type == "text/html"
            found[address] = Page(await response.text())
    return found


def test_every_document_is_in_the_table() -> None:
    """Whatever a reader of the repository finds is at /docs too, but for results of load runs."""
    listed = {each.path for each in DOCUMENTS.all if each.path}
    there = {
        file.relative_to(ROOT).as_posix()
        for pattern in ("*.md", ".github/SECURITY.md", "*/**/*.md")
        for file in ROOT.glob(pattern)
    }
    hidden = re.compile(
        r"(\.venv|(frontend/)?(node_modules|dist)|loadtest/results|\.(?!github/S)|build)"
    )
    assert listed == {path for path in there if not hidden.match(path)}


def test_every_image_is_in_the_table() -> None:
    """Those that the documents show, and no others; no two have a name."""
    shown = set[str]()
    for document in DOCUMENTS.all:
        if document.path:
            rendered = markdown.render(
                DOCUMENTS.text(document.path), lambda link, at=document: DOCUMENTS.link(at, link)
            )
            shown |= {src.rpartition("/")[2] for src in Page(rendered.html).images}
    names = [path.rpartition("/")[2] for path in DOCUMENTS.images]
    assert sorted(shown) == sorted(names)
    assert all((ROOT / path).is_file() for path in DOCUMENTS.images)


async def test_every_link_leads_somewhere(service: Service, pages: dict[str, Page]) -> None:
    """Links between the pages, to their headings, and to what else the server has; images too."""
    elsewhere = set[str]()
    for address, page in pages.items():
        for link in (*page.links, *page.images):
            target = urlsplit(urljoin(address, link))
            if target.scheme:
                continue
            if target.path not in pages:
                elsewhere.add(target.path)
            elif target.fragment:
                assert target.fragment in pages[target.path].ids, (address, link)
    for path in elsewhere - {"/", "/overview", "/admin"}:
        async with service.http.get(path) as response:
            assert response.status == 200, path


async def test_every_page_is_whole(pages: dict[str, Page]) -> None:
    """One heading of the first level, no id twice, no HTML that shows as text; and from each page
    every other is one click away."""
    for address, page in pages.items():
        assert page.tags.count("h1") == 1, address
        assert len(page.ids) == len(set(page.ids)), address
        assert "<a id" not in page.text, address
        assert set(ADDRESSES) <= set(page.links), address


async def test_the_search_finds_every_section(service: Service, pages: dict[str, Page]) -> None:
    """Each entry leads to a place that is there; documents, routes and errors are among them."""
    async with service.http.get("/docs/search.json") as response:
        assert response.headers["Content-Encoding"] == "deflate"
        entries: list[dict[str, str]] = await response.json()
    for entry in entries:
        address, _, fragment = entry["address"].partition("#")
        assert fragment in pages[address].ids, entry
    assert {entry["address"].partition("#")[0] for entry in entries} == set(ADDRESSES)
    whole = {f"{entry['title']} {entry['text']}" for entry in entries}
    for words in ("G-counter", "GET /v1/stats", "too_many_events", "MAX_CONNECTIONS", "livetally"):
        assert any(words in each for each in whole), words


async def test_what_isnt_there_is_404(service: Service) -> None:
    """Names that no page, file or image has; and no way out of the folder."""
    for name in (
        "nothing",
        "nothing.css",
        "documents.json",
        "http.py",
        "%2e%2e%2fhtml.py",
        "%00.js",
    ):
        async with service.http.get(f"/docs/{name}") as response:
            assert response.status == 404, name


async def test_a_collectors_client_finds_its_docs(service: Service) -> None:
    """The old collector had /docs and /openapi.json: so has this, with its routes in both."""
    async with service.http.get("/docs") as response:
        assert response.status == 200
        assert 'href="/docs/api"' in await response.text()
    async with service.http.get("/docs/api") as response:
        assert "/button/click" in await response.text()
    async with service.http.get("/openapi.json") as response:
        assert "/button/click" in (await response.json())["paths"]


def _render(text: str, **links: str | None) -> Any:
    return markdown.render(text, lambda link: links.get(link, link))


def test_html_in_a_document_is_text() -> None:
    """But for a place to link to, which has an id and no more."""
    rendered = _render('<script>1</script> <a id="here"></a> <a id="x" onclick="1"></a> `<b>`')
    assert "<script" not in rendered.html
    assert "<b>" not in rendered.html
    assert '<a id="here"></a>' in rendered.html
    assert Page(rendered.html).tags == ["p", "a", "code"]
    assert "href" not in _render("[a](javascript:alert)").html


def test_a_docstrings_indentation_is_no_code() -> None:
    """Its lines are paragraphs, as indented as they are in the source."""
    said = markdown.prose("One `thing`.\n\n    The second.\n\n    - a\n    - <b>\n    ")
    assert Page(said).tags == ["p", "code", "p", "ul", "li", "li"]


def test_headings_are_named_as_github_does() -> None:
    """So one link works in both places; a heading that comes twice has a number."""
    rendered = _render("# The `SDK`, v2\n\n## Run it\ntext\n\n## Run it\n\n```sh\ncode\n```\n")
    assert [each.id for each in rendered.sections] == ["the-sdk-v2", "run-it", "run-it-1"]
    assert [each.level for each in rendered.sections] == [1, 2, 2]
    assert [each.text.strip() for each in rendered.sections] == ["", "text", "code"]


def test_a_link_to_a_file_that_isnt_shown_is_text() -> None:
    """What stands in its brackets stays; links that lead somewhere follow the document."""
    links = {"src.py": None, "b.md": "/docs/b"}
    rendered = _render("[**the** code](src.py) and [that](b.md)", **links)
    assert rendered.html == '<p><strong>the</strong> code and <a href="/docs/b">that</a></p>\n'
    service = next(each for each in DOCUMENTS.all if each.path == "service/README.md")
    for link, address in {
        "../frontend/README.md#the-pages": "/docs/frontend#the-pages",
        "../README.md": "/docs",
        "#settings": "#settings",
        "https://example.com/a.md": "https://example.com/a.md",
        "/docs/api": "/docs/api",
        "livetally/__init__.py": None,
        "../../../etc/passwd": None,
    }.items():
        assert DOCUMENTS.link(service, link) == address, link
