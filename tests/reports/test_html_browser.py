"""The report in a real browser: nothing is asked of the network, nothing fails, a dot of the map shows its row."""

from typing import TYPE_CHECKING

import pytest

import pet

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("width", [1280, 375])
def test_a_person_reads_it(both: pet.RunResult, browser: "Browser", width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme="dark" if width < 800 else "light")
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((both.directory / "report.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    row, dot = page.locator("#map-row"), page.locator("#map-plot circle").nth(5)
    dot.scroll_into_view_if_needed()
    dot.hover(force=True)
    assert "% · news " in row.inner_text()
    hovered = row.inner_text()
    page.locator("#map-plot").focus()
    for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
    assert "% · news " in row.inner_text()
    assert row.inner_text() != hovered
    page.select_option("#map-colour", "confidence")
    assert page.locator("#map-sure").is_visible()
    page.select_option("#map-label", "0")
    assert page.locator("#map-plot circle.off").count() > 0
    assert said == []
    assert len(asked) == 1  # the page itself
