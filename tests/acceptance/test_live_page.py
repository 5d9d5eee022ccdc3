"""The live page in headless Chromium: the whole story by keyboard, in a narrow window, without an error."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Route, WebSocketRoute, async_playwright, expect

from store import ledger
from tests.conftest import need
from tests.kit.town import Running, running

pytestmark = [pytest.mark.acceptance, pytest.mark.browser]
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
expect.set_options(
    timeout=30_000
)  # milliseconds; five seconds are too few for a machine that does other things as well


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    need(path, "Chromium")
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path=path, args=ARGS)
        yield found
        await found.close()


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path / "site") as found:
        yield found


async def opened(browser: Browser, url: str, width: int = 1280, height: int = 900) -> tuple[Page, list[str]]:
    """The page, and the list of everything that goes wrong on it."""
    page = await browser.new_page(viewport={"width": width, "height": height})
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(request.url) if "/ws" not in request.url else None)
    await page.goto(url)
    return page, wrong


async def tab_to(page: Page, name: str, limit: int = 60) -> None:
    """Press Tab until the element with this accessible name has the focus."""
    for _ in range(limit):
        await page.keyboard.press("Tab")
        focused = await page.evaluate(
            "() => { const e = document.activeElement, label = e.labels && e.labels[0];"
            " return e.getAttribute('aria-label') || (label || e).textContent }"
        )
        if name in (focused or ""):
            return
    raise AssertionError(f"no Tab leads to {name!r}")


async def sign_in(page: Page, town: Running) -> None:
    await page.get_by_label("Your token").fill(town.token)
    await page.get_by_role("button", name="Sign in").click()


async def accepted(town: Running, count: int) -> None:
    async with asyncio.timeout(10):
        while (await town.database.read(ledger.balance)).total.accepted < count:
            await asyncio.sleep(0.02)


async def test_a_question_is_answered_by_an_agent_with_the_keyboard_alone(browser: Browser, town: Running) -> None:
    page, wrong = await opened(browser, town.stage.http)
    await tab_to(page, "Write as the customer")
    await page.keyboard.type("My parcel <b>never</b> came & I am sad")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("your reference is SB-")).to_be_visible()

    await tab_to(page, "Your token")
    await page.keyboard.type(town.token)
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("signed in as ada")).to_be_visible()
    await expect(page.get_by_role("heading", name="Waiting for an agent (1)")).to_be_visible(timeout=20_000)

    await page.evaluate("document.activeElement.blur()")
    await page.keyboard.press("n")
    answer = page.get_by_label("Your answer")
    await expect(answer).to_be_focused()
    desk = page.get_by_role("region", name="Conversation")
    await expect(desk.get_by_text("My parcel <b>never</b> came & I am sad")).to_be_visible()
    await page.keyboard.type("It is on its way.")
    await page.keyboard.press("Control+Enter")

    chat = page.get_by_role("log", name="The customer's chat")
    await expect(chat.get_by_text("It is on its way.")).to_be_visible(timeout=15_000)
    await expect(page.get_by_text("✓ balanced")).to_be_visible()
    await expect(page.locator(".sum")).to_contain_text("1 answered", timeout=15_000)
    assert wrong == []


async def test_a_question_that_needs_nobody_is_answered_at_once_and_says_why(browser: Browser, town: Running) -> None:
    page, wrong = await opened(browser, town.stage.http)
    await page.get_by_label("Write as the customer").fill("What are your opening hours?")
    await page.get_by_role("button", name="Send").click()
    chat = page.get_by_role("log", name="The customer's chat")
    await expect(chat.get_by_text("Automatic answer")).to_be_visible()
    await sign_in(page, town)
    await expect(page.get_by_text("answered by rule")).to_be_visible()
    assert wrong == []


async def test_the_desk_is_there_where_no_chat_is(browser: Browser, town: Running) -> None:
    """The page stayed empty in a process of agents alone, and wherever no chat was set up."""
    page = await browser.new_page()
    await page.route("**/chat-static/chat.js", lambda route: route.fulfill(status=404))
    await page.goto(town.stage.http)
    await expect(page.locator("#queue")).to_contain_text("Shown to who is signed in")
    await sign_in(page, town)
    await expect(page.locator("#queue")).to_contain_text("Nobody waits")
    await expect(page.locator("#customer")).to_have_count(0)


async def test_newer_messages_stop_the_answer_and_show_themselves(browser: Browser, town: Running) -> None:
    page, _ = await opened(browser, town.stage.http)
    customer = page.get_by_label("Write as the customer")
    await customer.fill("I need help with my order")
    await customer.press("Enter")
    await sign_in(page, town)
    await expect(page.get_by_role("heading", name="Waiting for an agent (1)")).to_be_visible(timeout=20_000)
    await page.get_by_role("button", name="Take the next").click()
    await page.get_by_label("Your answer").fill("Here you are.")

    async def meanwhile(route: Route) -> None:
        """The customer's second message is accepted while the answer is on its way to the server."""
        await customer.fill("Wait, it is about another order")
        await customer.press("Enter")
        await expect(page.get_by_role("log", name="The customer's chat").get_by_text("another order")).to_be_visible()
        await accepted(town, 2)
        await route.continue_()

    await page.route("**/complete", meanwhile, times=1)
    await page.get_by_role("button", name="Send and complete").click()
    await expect(page.get_by_text("Not sent: the customer has written again")).to_be_visible(timeout=15_000)
    conversation = page.get_by_role("region", name="Conversation")
    await expect(conversation.get_by_text("another order")).to_be_visible()
    assert (await page.get_by_label("Your answer").input_value()) == "Here you are."
    await page.get_by_role("button", name="Send and complete").click()
    await expect(page.get_by_text("Sent. It goes back")).to_be_visible()
    await expect(page.get_by_role("button", name="Take the next")).to_be_focused()


async def test_sending_again_after_a_lost_response_gives_one_answer(browser: Browser, town: Running) -> None:
    page, _ = await opened(browser, town.stage.http)
    await page.get_by_label("Write as the customer").fill("I need help with my order")
    await page.get_by_label("Write as the customer").press("Enter")
    await sign_in(page, town)
    await expect(page.get_by_role("heading", name="Waiting for an agent (1)")).to_be_visible(timeout=20_000)
    await page.get_by_role("button", name="Take the next").click()
    await page.get_by_label("Your answer").fill("Here you are.")

    async def lose(route: Route) -> None:
        await route.fetch()
        await route.abort()

    await page.route("**/reply", lose, times=1)
    keep = page.get_by_role("button", name="Send and keep")
    await keep.click()
    await expect(page.locator(".notice")).to_be_visible()
    await keep.click()
    await expect(page.get_by_label("Your answer")).to_have_value("")
    await expect(page.get_by_role("log", name="The customer's chat").get_by_text("Here you are.")).to_have_count(1)
    await expect(page.get_by_role("region", name="Conversation").get_by_text("Here you are.")).to_have_count(1)


async def test_a_lost_connection_is_made_again_and_shows_nothing_twice(browser: Browser, town: Running) -> None:
    page, _ = await opened(browser, town.stage.http)
    sockets: list[WebSocketRoute] = []

    async def through(route: WebSocketRoute) -> None:
        sockets.append(route)
        route.connect_to_server()

    await page.route_web_socket("**/ws", through)
    await page.reload()
    await page.get_by_label("Write as the customer").fill("What are your opening hours?")
    await page.get_by_label("Write as the customer").press("Enter")
    chat = page.get_by_role("log", name="The customer's chat")
    await expect(chat.get_by_text("Automatic answer")).to_be_visible(timeout=20_000)
    await sign_in(page, town)
    await expect(page.get_by_text("✓ balanced")).to_be_visible()
    before = await chat.get_by_role("listitem").count()
    for socket in list(sockets):
        await socket.close(code=1012)
    async with asyncio.timeout(10):
        while len(sockets) < 6:  # the chat, the desk and the control room, each twice
            await asyncio.sleep(0.05)
    await page.get_by_label("Write as the customer").fill("Thank you!")
    await page.get_by_label("Write as the customer").press("Enter")
    await expect(page.locator(".sum")).to_contain_text("2 accepted", timeout=15_000)
    assert await chat.get_by_text("What are your opening hours?").count() == 1
    assert await chat.get_by_role("listitem").count() >= before + 1


@pytest.mark.parametrize("path", ["/", "/chat/website", "/forms/contact"])
async def test_every_page_fits_400_px_and_can_be_read_aloud(browser: Browser, town: Running, path: str) -> None:
    page, wrong = await opened(browser, town.stage.http + path, width=400, height=800)
    await page.wait_for_load_state("networkidle")
    await page.get_by_role("heading", level=1).wait_for()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await page.locator("main").count() == 1
    assert await page.evaluate("document.documentElement.lang") == "en"
    nameless = await page.evaluate(
        """() => [...document.querySelectorAll('input:not([type=hidden]), textarea, select, button, a')].filter(e =>
            !(e.labels && e.labels.length) && !e.textContent.trim() && !e.getAttribute('aria-label'))
            .map(e => e.outerHTML)"""
    )
    assert nameless == []
    assert wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_has_enough_contrast(browser: Browser, town: Running, scheme: str) -> None:
    context = await browser.new_context(color_scheme=scheme)
    page = await context.new_page()
    await page.goto(town.stage.http)
    await page.get_by_role("heading", name="An agent answers").wait_for()
    low = await page.evaluate(
        """() => {
            const rgb = c => c.match(/[\\d.]+/g).map(Number);
            const linear = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
            const weight = [0.2126, 0.7152, 0.0722];
            const lum = colour => colour.slice(0, 3).map(linear).reduce((sum, v, i) => sum + v * weight[i], 0);
            const back = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
                if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
            return [...document.querySelectorAll('h1,h2,h3,p,span,label,button,a,li')].filter(e => e.offsetParent &&
                [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())).map(e => {
                    const [a, b] = [lum(rgb(getComputedStyle(e).color)), lum(back(e))].sort((x, y) => y - x);
                    return [(a + 0.05) / (b + 0.05), e.textContent.trim().slice(0, 40)];
                }).filter(([ratio]) => ratio < 4.5);
        }"""
    )
    assert low == []
    await context.close()


async def test_spam_is_set_aside_and_released_with_one_click_each(browser: Browser, town: Running) -> None:
    page, wrong = await opened(browser, town.stage.http, width=380)
    await page.get_by_label("Write as the customer").fill("I need help with my order")
    await page.get_by_label("Write as the customer").press("Enter")
    await sign_in(page, town)
    await expect(page.get_by_role("heading", name="Waiting for an agent (1)")).to_be_visible(timeout=20_000)
    await page.get_by_role("button", name="Take the next").click()
    await page.get_by_role("button", name="Hold as spam").click()
    await expect(page.get_by_text("Set aside as spam.")).to_be_visible()
    await expect(page.locator(".sum")).to_contain_text("1 held", timeout=15_000)
    await page.get_by_text("Set aside", exact=True).click()
    aside = page.locator("details.aside")
    await expect(aside.get_by_text("I need help with my order")).to_be_visible()
    await tab_to(page, "Release SB-")
    await page.keyboard.press("Enter")
    await expect(aside.get_by_text("it is decided on again")).to_be_visible()
    await expect(aside.get_by_text("Nothing is set aside.")).to_be_visible(timeout=15_000)
    await expect(page.get_by_role("heading", name="Waiting for an agent (1)")).to_be_visible(timeout=20_000)
    assert wrong == []
