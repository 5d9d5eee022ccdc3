"""An answer by mail on the live page in headless Chromium: files, copies, taking it back, and sent or resend."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiosmtplib
import pytest
from playwright.async_api import Browser, Page, expect
from sqlalchemy import select
from sqlalchemy.engine import Connection

from schemas.states import DeliveryState
from store import deliveries
from store.tables import deliveries as table
from switchboard.demo.cast import SHOP
from tests.acceptance.test_live_page import browser, opened, sign_in, tab_to  # noqa: F401 - a fixture
from tests.kit.mails import mail
from tests.kit.town import Running, running

pytestmark = [pytest.mark.acceptance, pytest.mark.browser]
D = DeliveryState
DATA_URL = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PNG = base64.b64decode(DATA_URL.partition(",")[2])


@pytest.fixture
async def patient(tmp_path: Path) -> AsyncIterator[Running]:
    """An agent's mail waits for an hour."""
    async with running(tmp_path / "site", undo="1h") as found:
        yield found


async def write(town: Running, key: str, sender: str) -> None:
    raw = mail(key, sender=sender, to=SHOP, subject="A question")
    where = {"hostname": "127.0.0.1", "port": town.stage.smtp_port, "start_tls": False}
    await aiosmtplib.send(raw, sender=sender, recipients=[SHOP], **where)  # type: ignore[call-overload]


async def take(page: Page) -> None:
    """The only item that waits."""
    await expect(page.get_by_role("heading", name="Waiting for an agent (1)")).to_be_visible(timeout=20_000)
    await page.get_by_role("button", name="Take the next").click()


async def with_a_mail(browser: Browser, town: Running, width: int = 1280) -> tuple[Page, list[str]]:  # noqa: F811
    """The page of an agent who holds a customer's mail."""
    await write(town, "page", "ann@example.org")
    page, wrong = await opened(browser, town.stage.http, width=width)
    await sign_in(page, town)
    await take(page)
    await expect(page.get_by_label("Your answer")).to_be_focused()
    return page, wrong


async def rows(town: Running) -> list[tuple[str, str, DeliveryState]]:
    def work(conn: Connection) -> list[tuple[str, str, DeliveryState]]:
        found = conn.execute(select(table.c.reply_id, table.c.recipient, table.c.state).order_by(table.c.recipient))
        agents = [row for row in found if ":reply:" in row.reply_id]
        return [(row.reply_id, row.recipient, DeliveryState(row.state)) for row in agents]

    return await town.database.read(work)


async def test_a_mail_is_withdrawn_with_the_keyboard_while_its_seconds_run(browser: Browser, patient: Running) -> None:  # noqa: F811
    page, wrong = await with_a_mail(browser, patient, width=400)
    await page.keyboard.type("It left to day.")
    await page.keyboard.press("Control+Enter")
    waiting = page.locator(".undo")
    await expect(waiting.get_by_text("has not gone yet")).to_be_visible()
    assert await waiting.get_attribute("aria-live") == "polite"
    seconds = waiting.locator(".seconds")
    before = await seconds.text_content()
    await expect(seconds).not_to_have_text(before or "")
    assert await seconds.get_attribute("aria-hidden") == "true", "a screen reader is not told each second"
    await tab_to(page, "Withdraw the mail about SB-")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Withdrawn: nothing was sent.")).to_be_visible()
    await expect(page.get_by_role("heading", name="Waiting for an agent (1)")).to_be_visible(timeout=20_000)
    assert [state for *_, state in await rows(patient)] == [D.WITHDRAWN]
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert wrong == []


async def test_withdrawn_words_landed_in_another_customers_box(browser: Browser, patient: Running) -> None:  # noqa: F811
    page, wrong = await with_a_mail(browser, patient, width=400)
    box = page.get_by_label("Your answer")
    await page.keyboard.type("Dear Ann, your PIN is 4711.")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".undo").get_by_text("has not gone yet")).to_be_visible()
    await write(patient, "other", "bob@example.net")
    await take(page)
    await expect(box).to_be_focused()
    await page.get_by_role("button", name="Withdraw the mail about SB-1001").click()
    said = "SB-1001 waits for an answer again. Your words are kept as a draft: in its box when you open SB-1001."
    await expect(page.get_by_text(said)).to_be_visible()
    await expect(page.get_by_role("button", name="Take the next")).to_be_focused()
    await expect(box).to_have_value("")
    await box.fill("Dear Bob")
    await page.get_by_role("button", name="Open SB-1001 with its draft").click(timeout=20_000)
    await expect(box).to_have_value("Dear Ann, your PIN is 4711.")
    await page.get_by_role("button", name="SB-1002", exact=True).click()
    await expect(box).to_have_value("Dear Bob")
    await page.get_by_role("button", name="Discard the draft for SB-1001").click()
    await expect(page.get_by_text("A draft for SB-1001")).not_to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert wrong == []


async def test_withdrawing_lost_the_copies_and_files(browser: Browser, patient: Running, tmp_path: Path) -> None:  # noqa: F811
    page, wrong = await with_a_mail(browser, patient)
    (tmp_path / "invoice.pdf").write_bytes(b"%PDF")
    (tmp_path / "map.png").write_bytes(PNG)
    box, copies, files = (page.get_by_label(name) for name in ("Your answer", "Copies to", "Chosen files"))
    await box.fill("Enclosed is your invoice.")
    await page.get_by_text("Copies and files").click()
    await copies.fill("bob@example.net")
    await page.get_by_label("Files that go with it").set_input_files([tmp_path / "invoice.pdf", tmp_path / "map.png"])
    await page.get_by_label("in the text").check()
    await page.get_by_role("button", name="Send and keep").click()
    await expect(page.locator(".undo").get_by_text("has not gone yet")).to_be_visible()
    await expect(files.get_by_role("listitem")).to_have_count(0)
    await box.fill("And one thing more.")
    await page.get_by_role("button", name="Withdraw the mail about").click()
    await expect(page.get_by_text("All that it had is in the box, below what you had written.")).to_be_visible()
    await expect(box).to_be_focused()
    await expect(box).to_have_value("And one thing more.\n\nEnclosed is your invoice.")
    await expect(copies).to_have_value("bob@example.net")
    await expect(files).to_contain_text("invoice.pdf (4 bytes)")
    await expect(page.get_by_label("in the text")).to_be_checked()
    conversation = page.get_by_role("region", name="Conversation")
    await expect(conversation.get_by_text("withdrawn by ada at ")).to_have_count(2)
    await page.get_by_role("button", name="Send and keep").click()
    await expect(
        conversation.get_by_text("copies: bob@example.net · files: invoice.pdf, map.png", exact=False)
    ).to_have_count(2)
    await expect(box).to_have_value("")
    assert wrong == []


async def test_after_a_reload_nothing_said_that_a_mail_could_be_withdrawn(browser: Browser, patient: Running) -> None:  # noqa: F811
    page, wrong = await with_a_mail(browser, patient)
    await page.keyboard.type("It left to day.")
    await page.keyboard.press("Control+Enter")
    button = page.get_by_role("button", name="Withdraw the mail about SB-1001")
    await expect(button).to_be_visible()
    await requested(patient)
    await page.reload()
    wrong.clear()  # what was under way when the page went
    await expect(button).to_have_count(1)
    seconds = await page.locator(".undo .seconds").text_content()
    assert 3400 < int((seconds or "").removesuffix(" s")) <= 3600
    other, odd = await opened(browser, patient.stage.http)
    await sign_in(other, patient)
    await other.get_by_role("button", name="Withdraw the mail about SB-1001").click()
    await expect(other.get_by_text("Withdrawn: nothing was sent.")).to_be_visible()
    await expect(button).not_to_be_visible()
    assert [state for *_, state in await rows(patient)] == [D.WITHDRAWN]
    assert (wrong, odd) == ([], [])


async def test_files_and_copies_are_chosen_and_go(browser: Browser, patient: Running, tmp_path: Path) -> None:  # noqa: F811
    page, wrong = await with_a_mail(browser, patient)
    (tmp_path / "Übersicht.csv").write_bytes(b"a;b\n")
    (tmp_path / "wrong.txt").write_bytes(b"x")
    await page.get_by_label("Your answer").fill("Enclosed.")
    await page.get_by_text("Copies and files").click()
    await page.get_by_label("Copies to").fill("bob@example.net")
    await page.get_by_label("Files that go with it").set_input_files(
        [tmp_path / "Übersicht.csv", tmp_path / "wrong.txt"]
    )
    await page.get_by_role("button", name="Remove wrong.txt").click()
    await page.get_by_role("button", name="Send and keep").click()
    conversation = page.get_by_role("region", name="Conversation")
    await expect(conversation.get_by_text("copies: bob@example.net · files: Übersicht.csv")).to_be_visible()
    await expect(page.get_by_label("Your answer")).to_have_value("")
    async with asyncio.timeout(20):
        while [who for _, who, _ in await rows(patient)] != ["ann@example.org", "bob@example.net"]:
            await asyncio.sleep(0.05)
    assert wrong == []


async def test_an_image_that_is_put_in_the_text_stands_in_it(
    browser: Browser,  # noqa: F811
    patient: Running,
    tmp_path: Path,
) -> None:
    page, wrong = await with_a_mail(browser, patient)
    (tmp_path / "map.png").write_bytes(PNG)
    (tmp_path / "list.csv").write_bytes(b"a;b\n")
    await page.get_by_label("Your answer").fill("We are here:")
    await page.get_by_text("Copies and files").click()
    await page.get_by_label("Files that go with it").set_input_files([tmp_path / "map.png", tmp_path / "list.csv"])
    in_the_text = page.get_by_label("in the text")
    await expect(in_the_text).to_have_count(1)  # the image alone
    await in_the_text.check()
    await page.get_by_role("button", name="Send and keep").click()
    await expect(
        page.get_by_role("region", name="Conversation").get_by_text("files: map.png, list.csv")
    ).to_be_visible()
    await sent_at_once(patient)
    (came,) = [
        each for each in patient.mail.mailboxes["ann@example.org"] if "We are here:" in str(each.get_body(("plain",)))
    ]
    html = came.get_body(("html",))
    assert html is not None
    (image,) = [part for part in came.walk() if part.get_content_type() == "image/png"]
    assert f'src="cid:{image["Content-ID"].strip("<>")}"' in html.get_content()
    assert (image.get_content(), image.get_content_disposition()) == (PNG, "inline")
    # The customer's program: the picture is really drawn where the text names it.
    await page.set_content(html.get_content().replace(f"cid:{image['Content-ID'].strip('<>')}", DATA_URL))
    assert await page.locator("img").evaluate("each => each.decode().then(() => each.naturalWidth)") == 1
    assert [part.get_filename() for part in came.iter_attachments() if part.get_filename() == "list.csv"] == [
        "list.csv"
    ]
    assert wrong == []


async def test_a_mail_that_waits_is_tried_at_the_click_of_a_button(browser: Browser, patient: Running) -> None:  # noqa: F811
    page, wrong = await with_a_mail(browser, patient)
    await page.keyboard.type("It left today.")
    await page.get_by_role("button", name="Send and keep").click()
    reply_id, ann = await requested(patient)

    def deferred(conn: Connection) -> None:
        now, out = datetime.now(UTC), patient.house.base.store.outbox
        deliveries.arrive(conn, "test", now, now + timedelta(minutes=1))
        assert deliveries.begin(conn, reply_id, ann, owner="test", provider_id="x@shop.example", now=now)
        later, frm = now + timedelta(hours=1), [D.ATTEMPTING]
        words = "RCPT: 450 4.2.0 grey"
        deliveries.finish(conn, out, reply_id, ann, D.DEFERRED, frm=frm, now=now, detail=words, due_at=later)

    await patient.database.write(deferred)
    # It shows without a word from anybody, in words that people read.
    conversation = page.get_by_role("region", name="Conversation")
    first = conversation.locator("li.mine").filter(has_text="It left today.")
    await expect(first.get_by_text(re.compile(r"will be tried again at .+: that server asks"))).to_be_visible()
    await expect(first.get_by_text("RCPT: 450 4.2.0 grey")).not_to_be_visible()
    await page.get_by_label("Your answer").fill("And this.")
    await page.get_by_role("button", name="Send and keep").click()
    await expect(conversation.get_by_text("waits to be sent: an earlier answer has to go first")).to_be_visible()
    await page.get_by_role("button", name="Withdraw the mail about").last.click()
    await page.get_by_role("button", name="Try it now").click()
    await expect(first.get_by_text(re.compile(r"^sent at .+: the mail server took it"))).to_be_visible()
    await first.get_by_text("The mail server’s words").click()
    await expect(first.get_by_text("dot: 250")).to_be_visible()
    async with asyncio.timeout(20):
        while {state for *_, state in await rows(patient)} != {D.SENT, D.WITHDRAWN}:
            await asyncio.sleep(0.05)
    assert wrong == []


async def requested(town: Running) -> tuple[str, str]:
    """The reply's id and its recipient, once the ledger has them."""
    async with asyncio.timeout(20):
        while not (found := await rows(town)):
            await asyncio.sleep(0.05)
    ((reply_id, recipient, _),) = found
    return reply_id, recipient


async def sent_at_once(town: Running) -> None:
    """Its seconds are over."""
    reply_id, _ = await requested(town)
    over = table.update().where(table.c.reply_id == reply_id).values(due_at=datetime.now(UTC))
    await town.database.write(lambda conn: conn.execute(over))
    async with asyncio.timeout(20):
        while [state for *_, state in await rows(town)] != [D.SENT]:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(("button", "mails"), [("It was sent", 0), ("Send it again", 1)])
async def test_sent_or_resend_is_asked_where_the_outcome_is_unknown(
    browser: Browser,  # noqa: F811
    patient: Running,
    button: str,
    mails: int,
) -> None:
    page, wrong = await with_a_mail(browser, patient)
    await page.keyboard.type("It left today.")
    await page.get_by_role("button", name="Send and keep").click()
    reply_id, ann = await requested(patient)

    def lost(conn: Connection) -> None:
        """A sender whose link broke after the dot."""
        now, out = datetime.now(UTC), patient.house.base.store.outbox
        deliveries.arrive(conn, "test", now, now + timedelta(minutes=1))
        assert deliveries.begin(conn, reply_id, ann, owner="test", provider_id="x@shop.example", now=now)
        deliveries.finish(conn, out, reply_id, ann, D.UNKNOWN, frm=[D.ATTEMPTING], now=now, detail="dot: link lost")

    await patient.database.write(lost)
    asked = page.get_by_role("group", name="Sent or resend?")
    await expect(asked).to_be_visible(timeout=20_000)
    await asked.get_by_role("button", name=button).click()
    await expect(asked).not_to_be_visible()
    async with asyncio.timeout(20):
        while [state for *_, state in await rows(patient)] != [D.SENT]:
            await asyncio.sleep(0.05)
    if button == "It was sent":  # nothing else was open
        await expect(page.get_by_text("is done: nothing else was open.")).to_be_visible()
        await expect(page.get_by_label("Your answer")).not_to_be_visible()
    came = [str(each.get_body(("plain",))) for each in patient.mail.mailboxes["ann@example.org"]]
    assert sum("It left today." in text for text in came) == mails
    assert wrong == []


async def test_one_word_settled_all_recipients_of_a_mail(browser: Browser, patient: Running) -> None:  # noqa: F811
    page, wrong = await with_a_mail(browser, patient, width=400)
    await page.keyboard.type("It left today.")
    await page.get_by_text("Copies and files").click()
    await page.get_by_label("Copies to").fill("bob@example.net")
    await page.get_by_role("button", name="Send and keep").click()
    async with asyncio.timeout(20):
        while len(found := await rows(patient)) < 2:
            await asyncio.sleep(0.05)

    def killed(conn: Connection) -> None:
        """A sender that ended in the middle of both."""
        now, out = datetime.now(UTC), patient.house.base.store.outbox
        deliveries.arrive(conn, "test", now, now + timedelta(minutes=1))
        for reply_id, recipient, _ in found:
            assert deliveries.begin(conn, reply_id, recipient, owner="test", provider_id="x@shop.example", now=now)
            lost, frm = "the sender stopped in the middle of sending", [D.ATTEMPTING]
            deliveries.finish(conn, out, reply_id, recipient, D.UNKNOWN, frm=frm, now=now, detail=lost)

    await patient.database.write(killed)
    ann, bob = (page.get_by_role("group", name=f"Sent or resend? The mail to {who}") for _, who, _ in found)
    await expect(ann).to_be_visible(timeout=20_000)
    await expect(bob).to_be_visible()
    # The list in the conversation was a scroll area of its own in a narrow window, and began at its oldest words.
    at_the_end = "each => Math.abs(each.scrollTop + each.clientHeight - each.scrollHeight) < 2"
    await page.wait_for_function(f"({at_the_end})(document.querySelector('.conversation'))")
    assert await page.evaluate(
        "(each => each.scrollHeight <= each.clientHeight)(document.querySelector('.conversation ol'))"
    )
    await bob.get_by_role("button", name="Send it again to bob@example.net").click()
    await expect(page.get_by_text("It is sent again to bob@example.net.")).to_be_visible()
    await expect(bob).not_to_be_visible()
    await expect(ann).to_be_visible()
    async with asyncio.timeout(20):
        while [state for *_, state in await rows(patient)] != [D.UNKNOWN, D.SENT]:
            await asyncio.sleep(0.05)
    await ann.get_by_role("button", name="It was sent").click()
    await expect(ann).not_to_be_visible()
    assert [state for *_, state in await rows(patient)] == [D.SENT, D.SENT]
    assert "It left today." not in str(patient.mail.mailboxes.get("ann@example.org"))
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert wrong == []
