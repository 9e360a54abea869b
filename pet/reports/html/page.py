"""The page: a head that lets nothing in from outside, and sections, each a partial template with its own content.

To add a section, write a function that finds what it shows and returns a `Section`, name it in `SECTIONS` in
`pet/reports/html/sections.py`, and lay three files, of which two may be missing, into `templates/`:

    sections/<name>.html    what it looks like; `section` is the Section, `section.content` what was found
    <name>.js               a script, put into the page once, after the page's own; nothing is loaded from elsewhere
    <name>.css              rules for it alone

`data`, any plain value, becomes ``<script type="application/json" id="data-<name>">`` for that script. The policy of
the page (Content-Security-Policy) allows the scripts and rules of these files by their digests, and nothing else:
no `style=` and no `onclick=`, no images, no requests. Jinja2 escapes every text; texts of people stand in
``{{ text | words }}``, which shortens and isolates them (<bdi>), so that no sign of theirs turns the line around.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pet.reports.html.show import FILTERS

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Section:
    """A part of the page: `name` is its anchor and that of its files; `content` is for its template."""

    name: str
    title: str
    content: Any = None
    data: Any = None


@dataclass(frozen=True)
class Inline:
    """A script or a style sheet as it stands in the page; the policy knows it by its `digest`."""

    text: Markup

    @property
    def digest(self) -> str:
        """The digest, as a policy has it."""
        found = hashlib.sha256(self.text.encode("utf-8")).digest()
        return f"'sha256-{base64.b64encode(found).decode('ascii')}'"


def draw(title: str, about: Any, sections: Sequence[Section]) -> str:
    """Return the page; `about` is for its head.

    Texts of the sections are escaped; nothing that they say is markup.
    """
    names = ("page", *(one.name for one in sections))
    styles, scripts = ([inline(path) for path in _files(names, suffix)] for suffix in ("css", "js"))
    template = _environment().get_template("page.html")
    return template.render(title=title, about=about, sections=sections, styles=styles, scripts=scripts)


def _files(names: Sequence[str], suffix: str) -> list[Path]:
    return [path for name in names if (path := TEMPLATES / f"{name}.{suffix}").is_file()]


def inline(path: Path) -> Inline:
    """Return a script or a style sheet to stand in a page: a file of this package, never the text of anybody."""
    return Inline(Markup(path.read_text(encoding="utf-8")))


@cache
def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    found.filters |= FILTERS
    found.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
    return found
