"""The rules page in headless Chromium: read, try, run a draft, by keyboard and in a narrow window, without an error."""

import asyncio
from itertools import pairwise

import pytest
from playwright.async_api import Browser, expect
from sqlalchemy import func, select

from store.tables import decisions
from tests.acceptance.test_live_page import browser, opened, sign_in, tab_to, town
from tests.kit.town import Running

__all__ = ["browser", "town"]
pytestmark = [pytest.mark.acceptance, pytest.mark.browser]
DRAFT = "- {name: all, when: {channel: chat}, queue: complaints, tier: P1}"


async def written(browser: Browser, town: Running, *texts: str) -> None:
    """Visitors have written these, and all is decided."""
    page, _ = await opened(browser, town.stage.http)
    for text in texts:
        await page.get_by_label("Write as the customer").fill(text)
        await page.get_by_label("Write as the customer").press("Enter")
    async with asyncio.timeout(30):
        while (await town.database.read(_decided)) < len(texts):
            await asyncio.sleep(0.05)
    await page.close()


def _decided(conn: object) -> int:
    return conn.scalar(select(func.count()).select_from(decisions)) or 0  # type: ignore[attr-defined, no-any-return]


async def test_rules_are_read_as_sentences_with_their_hits_and_last_examples(browser: Browser, town: Running) -> None:
    await written(browser, town, "What are your opening hours?")
    page, wrong = await opened(browser, town.stage.http + "/rules")
    await sign_in(page, town)
    rule = page.locator("#rule-opening-hours")
    await expect(rule).to_contain_text("1 hit")
    await expect(rule).to_contain_text("the channel is email, chat or web form")
    await expect(rule).to_contain_text("answer with the text “opening-hours”; tag it opening-hours; look at no further")
    await expect(page.locator("#rule-vip")).to_contain_text("0 hits")
    await page.get_by_label("Find in the rules").fill("lawyer")
    await expect(page.get_by_text("1 of 31 rules")).to_be_visible()
    await page.get_by_label("Find in the rules").fill("")

    example = rule.get_by_role("link")
    await example.focus()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("What are your opening hours?")
    await expect(dialog).to_contain_text("rule opening-hours fired")
    await page.keyboard.press("Escape")
    await expect(example).to_be_focused()
    assert wrong == []


async def test_a_text_is_tried_with_the_keyboard_alone_and_nothing_is_kept(browser: Browser, town: Running) -> None:
    page, wrong = await opened(browser, town.stage.http + "/rules")
    await tab_to(page, "Your token")
    await page.keyboard.type(town.token)
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("31 rules", exact=True)).to_be_visible()
    await tab_to(page, "Subject", limit=200)
    await page.keyboard.type("Réclamation <b>!</b>")
    await tab_to(page, "Text")
    await page.keyboard.type("C'est inadmissible")
    await tab_to(page, "Decide")
    await page.keyboard.press("Enter")
    told = page.get_by_role("status", name="The decision")
    await expect(told).to_contain_text("waits in queue complaints; acknowledged with complaint")
    await expect(told).to_contain_text("rule complaint fired")
    assert await town.database.read(_decided) == 0
    assert wrong == []


async def test_a_draft_shows_what_moves_where_as_a_picture_and_as_a_table(browser: Browser, town: Running) -> None:
    await written(browser, town, "My parcel is lost!", "What are your opening hours?")
    page, wrong = await opened(browser, town.stage.http + "/rules")
    await sign_in(page, town)
    await page.get_by_label("The rules (YAML)").fill("- {name: all, queue: nowhere}\n- {name: all, tier: P9}")
    await page.get_by_role("button", name="Run the draft").click()
    result = page.get_by_role("status", name="The draft's result")
    await expect(result).to_contain_text("unknown queue")

    await page.get_by_label("The rules (YAML)").fill(DRAFT)
    await page.get_by_role("button", name="Run the draft").click()
    await expect(result).to_contain_text("2 of 2 interactions would be decided otherwise")
    picture = page.get_by_role("img", name="Queue: what moves where")
    await expect(picture).to_contain_text("orders (1)")
    await expect(picture).to_contain_text("complaints (2)")
    assert await picture.locator("path").count() == 2
    table = page.get_by_role("table", name="Queue: what moves where")
    await expect(table.get_by_role("row")).to_have_count(3)
    await expect(table.get_by_role("row").nth(1)).to_contain_text("complaints1SB-")
    await page.get_by_role("button", name="Tier (2)").click()
    await expect(table).to_have_count(0)
    await expect(page.get_by_role("table", name="Tier: what moves where")).to_contain_text("P1")
    assert wrong == [wrong[0]] and "422" in wrong[0], wrong  # the first draft was refused


async def test_the_rules_page_fits_400_px_and_can_be_read_aloud(browser: Browser, town: Running) -> None:
    page, wrong = await opened(browser, town.stage.http + "/rules", width=400, height=800)
    await sign_in(page, town)
    await expect(page.get_by_text("31 rules", exact=True)).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    nameless = await page.evaluate(
        """() => [...document.querySelectorAll('input:not([type=hidden]), textarea, select, button, a')].filter(e =>
            !(e.labels && e.labels.length) && !e.textContent.trim() && !e.getAttribute('aria-label'))
            .map(e => e.outerHTML)"""
    )
    assert nameless == []
    levels = await page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(e => +e.tagName[1])")
    assert levels[0] == 1 and all(after - before <= 1 for before, after in pairwise(levels))
    assert wrong == []
