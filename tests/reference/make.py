"""Write the pages of docs/reference anew: ``cd tests && python -m reference.make``, which is `make reference`."""

from collections.abc import Callable, Mapping
from pathlib import Path

from reference.commands import commands_page
from reference.python import python_page
from reference.settings import recipe_page, settings_page

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "recipe.md": recipe_page,
    "commands.md": commands_page,
    "python.md": python_page,
}

if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
