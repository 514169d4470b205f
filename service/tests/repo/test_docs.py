"""The docs: short where a newcomer begins, and every link leads somewhere."""

import re
import subprocess
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import livetally
from service.tests.support.paths import README, ROOT

MAX_WORDS = 900
_FOLDERS = r"service|frontend|loadtest|terraform|inspec|\.ci|\.github"

_LISTED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
).stdout.splitlines()
DOCS = sorted(
    {ROOT / name for name in _LISTED}
    or {
        file
        for file in ROOT.rglob("*.md")
        if not {"node_modules", ".venv"} & {*file.relative_to(ROOT).parts}
    }
)


def without_code(text: str) -> str:
    """The text without its code, where brackets and hashes mean something else."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", lambda code: code[0].replace("[", "").replace("#", ""), text)


def links(text: str) -> list[str]:
    """Where Markdown's and HTML's links and images lead."""
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return found + [unescape(each) for each in re.findall(r'(?:src|href)="([^"]+)"', text)]


def anchors(file: Path) -> set[str]:
    """What can stand behind a `#`: headings as GitHub names them, and ids."""
    text = re.sub(r"^```.*?^```$", "", file.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    found = set(re.findall(r'<a id="([^"]+)"', text))
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        found.add(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-"))
    return found


def broken(file: Path, link: str) -> bool:
    """Whether a link of this file leads nowhere in this repository."""
    address = urlsplit(link)
    if address.scheme or address.netloc:
        return False
    target = (file.parent / unquote(address.path)).resolve() if address.path else file
    if not target.is_relative_to(ROOT) or not target.exists():
        return True
    return bool(address.fragment) and address.fragment not in anchors(target)


def test_the_readme_is_short() -> None:
    """A newcomer reads README in some minutes: what is more is in the READMEs it leads to."""
    assert len(README.read_text("utf-8").split()) <= MAX_WORDS


@pytest.mark.parametrize("file", DOCS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_link_leads_somewhere(file: Path) -> None:
    """Each link of each document, and the heading behind its `#`."""
    found = links(without_code(file.read_text("utf-8")))
    assert [link for link in found if broken(file, link)] == []


@pytest.mark.parametrize("file", DOCS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_path_is_there(file: Path) -> None:
    """A file that is named by its place in the repository is still there."""
    named = re.findall(rf"`((?:{_FOLDERS})/[\w./-]+)`", file.read_text("utf-8"))
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_a_broken_link_would_be_found() -> None:
    """The check above sees files and headings that aren't there."""
    for link in ("no-such.md", "#no-such", "CONTRIBUTING.md#no-such", "../elsewhere.md"):
        assert broken(README, link), link
    for link in ("#promises", "CONTRIBUTING.md#decisions", "https://example.com/#a"):
        assert not broken(README, link), link
    assert links('[a](b.md) ![c](d.png) <img src="f.png">') == ["b.md", "d.png", "f.png"]


def test_readme_leads_to_every_other() -> None:
    """From README each document is found, by its links or those of what it links to."""
    seen, ahead = set[Path](), [README]
    while ahead:
        file = ahead.pop()
        seen.add(file)
        for link in links(without_code(file.read_text("utf-8"))):
            target = (file.parent / urlsplit(link).path).resolve()
            if not urlsplit(link).scheme and target in DOCS and target not in seen:
                ahead.append(target)
    alone = {ROOT / "loadtest" / "results", ROOT / ".github"}
    assert [file for file in DOCS if file not in seen and not alone & {*file.parents}] == []


def test_the_changelog_has_this_version() -> None:
    """What the newest release changed, and what has changed since, each under its own heading."""
    versions = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert versions[0] == "Unreleased"
    assert re.fullmatch(rf"{re.escape(livetally.__version__)} - \d{{4}}-\d\d-\d\d", versions[1])
