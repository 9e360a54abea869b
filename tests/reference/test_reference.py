"""The pages of docs/reference are what the code says today, and a setting says what it is."""

from pathlib import Path

import pytest
from reference.make import FOLDER, PAGES
from reference.settings import tables_of, told

from pet.settings.base import Section
from pet.settings.config import RunConfig
from pet.settings.recipe import PretrainConfig

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "pet").is_dir(), reason="the sources are out of reach")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_says(name: str) -> None:
    assert (FOLDER / name).read_text("utf-8") == PAGES[name](), "make reference writes it anew"


@pytest.mark.parametrize("file", [RunConfig, PretrainConfig])
def test_every_setting_says_what_it_is(file: type[RunConfig | PretrainConfig]) -> None:
    silent = [f"{head} {name}" for head, table in tables_of(file) for name, text in told(table).items() if not text]
    assert silent == [], "a docstring under the setting says it"


class Mine(Section):
    """A table."""

    said: int = 1
    """What it is."""
    silent: int = 2


class Ours(Mine):
    """A table that has what another has."""

    own: int = 3
    """Our own."""


def test_a_docstring_is_found_under_its_setting_or_in_a_base() -> None:
    assert told(Ours) == {"said": "What it is.", "silent": "", "own": "Our own."}
