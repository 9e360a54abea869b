"""How Sphinx makes a site of these pages: `make docs`."""

import re

from sphinx.application import Sphinx

from pet import __version__

project = "pet"
release = __version__

extensions = ["myst_parser"]
highlight_language = "none"
myst_heading_anchors = 3

html_theme = "furo"
html_title = "pet"
html_copy_source = False
html_show_sphinx = False


def files_as_downloads(app: Sphinx, page: str, source: list[str]) -> None:
    """Make links to files outside this folder, which are no pages of the site, downloads."""
    folder = (app.srcdir / page).parent

    def changed(link: re.Match[str]) -> str:
        place = link["place"].partition("#")[0]
        return link[0] if (folder / place).resolve().is_relative_to(app.srcdir) else f"](path:{place})"

    source[0] = re.sub(r"\]\((?P<place>\.\.[^)\s]+)\)", changed, source[0])


def setup(app: Sphinx) -> None:
    """Have the sources changed as they are read."""
    app.connect("source-read", files_as_downloads)
