"""The pages of docs/ become a site without a warning, and no link in it leads nowhere."""

import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / "pet").is_dir(), reason="the sources are out of reach"),
]


class Page(HTMLParser):
    """The ids of an HTML page, what it links to, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids, self.links, self.loads = {""}, list[str](), list[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids.add(given.get("id", ""))
        self.links += [given["href"]] if tag == "a" and "href" in given else []
        self.loads += [given[name] for name in ("src", "href") if name in given and tag in ("script", "link", "img")]


def dead_links(site: Path) -> Iterator[str]:
    """Yield the links of a site's pages to files or ids that are not there."""
    pages = {path: Page(path.read_text("utf-8")) for path in site.rglob("*.html")}
    for path, page in pages.items():
        for link in page.links:
            place, _, anchor = link.partition("#")
            target = (path.parent / unquote(place)).resolve() if place else path
            if "://" in link:
                continue
            if not target.exists() or (target in pages and unquote(anchor) not in pages[target].ids):
                yield f"{path.relative_to(site)}: {link}"


def test_the_site_is_made_without_a_warning_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    pytest.importorskip("furo")
    site = tmp_path.resolve() / "site"
    subprocess.run(
        [sys.executable, "-m", "sphinx", "--fail-on-warning", "--quiet", ROOT / "docs", site],
        check=True,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )
    assert len(list(site.rglob("*.html"))) > 20
    assert list(dead_links(site)) == []
    loaded = {link for path in site.rglob("*.html") for link in Page(path.read_text("utf-8")).loads}
    assert [link for link in loaded if "://" in link] == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<h1 id="top"><a href="#top"></a><a href="#end"></a><a href="b.html#x"></a>')
    (tmp_path / "b.html").write_text('<a href="a.html#top"></a><a href="c.html"></a><a href="https://a.example"></a>')
    assert sorted(dead_links(tmp_path.resolve())) == ["a.html: #end", "a.html: b.html#x", "b.html: c.html"]
