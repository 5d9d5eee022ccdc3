"""Files and copies of an agent's mail, over the API and by the client library."""

import asyncio
import io
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson
import pytest
from sqlalchemy.engine import Connection

from agents.sweeper import UploadSweeper
from runtime.clock import SystemClock
from schemas.errors import StoreUnavailable
from schemas.reply import Reply
from schemas.states import DeliveryState
from store import deliveries, replies
from switchboard import Conflict, QueueConsumer
from tests.contract.test_desk_api import BODY, Site, site  # noqa: F401 - a fixture
from tests.kit.contacts import NOW, chat, email
from tests.kit.prefork import switchboard

FILES = "/api/desk/files"
PNG = b"\x89PNG\r\n\x1a\n"


async def upload(session: aiohttp.ClientSession, data: bytes, name: str, kind: str) -> tuple[int, dict[str, Any]]:
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("file", io.BytesIO(data), filename=name, content_type=kind)
    async with session.post(FILES, data=form) as response:
        return response.status, await response.json()


async def mine(site: Site, session: aiohttp.ClientSession, contact: object) -> tuple[str, dict[str, Any]]:  # noqa: F811
    """The path of an item that this agent holds, and the body of an answer."""
    (asked,) = await site.queued(contact)
    item = quote((await site.item(asked)).id, safe="")
    async with session.post("/api/desk/work-items/next") as response:
        epoch = (await response.json())["item"]["epoch"]
    return f"/api/desk/work-items/{item}", {**BODY, "epoch": epoch}


async def test_files_and_copies_go_with_an_answer(site: Site) -> None:  # noqa: F811
    async with site.http("ada") as session:
        item, body = await mine(site, session, email())
        _, pdf = await upload(session, b"%PDF", "C:\\fakepath\\Übersicht.pdf", "application/pdf")
        status, image = await upload(session, PNG, "a.png", "image/png")
        assert (status, image["name"], image["size"], pdf["name"]) == (201, "a.png", 8, "Übersicht.pdf")
        body |= {"files": [{"id": pdf["id"]}, {"id": image["id"], "inline": True}], "cc": ["Bob@Example.net"]}
        for _ in range(2):  # sent again, after the response was lost
            async with session.post(f"{item}/reply", json=body) as response:
                made = Reply.model_validate(await response.json())
        async with session.post(f"{item}/reply", json={**body, "cc": []}) as response:
            assert (response.status, (await response.json())["code"]) == (409, "key-reused")
    assert made.cc == ("bob@example.net",)
    assert [(f.name, f.size, bool(f.content_id)) for f in made.files] == [
        ("Übersicht.pdf", 4, False),
        ("a.png", 8, True),
    ]
    await site.house.database.write(lambda c: deliveries.copy_in(c, [made], NOW))
    rows = await site.house.database.read(lambda c: deliveries.of_conversation(c, made.conversation_id))
    assert {row.recipient for row in rows} == {made.recipient.address, "bob@example.net"}
    async with site.http("ada") as session, session.post(f"/api/desk/replies/{quote(made.id)}/withdraw") as response:
        assert response.status == 200
    rows = await site.house.database.read(lambda c: deliveries.of_conversation(c, made.conversation_id))
    assert {row.state for row in rows} == {DeliveryState.WITHDRAWN}, "from everybody"


async def test_a_file_belongs_to_who_brought_it(site: Site) -> None:  # noqa: F811
    async with site.http("ada") as session, site.http("ben") as other:
        item, body = await mine(site, session, email())
        _, theirs = await upload(other, b"x", "x.txt", "text/plain")
        for bad in (theirs["id"], "blob:sha256/" + "0" * 64):
            async with session.post(f"{item}/reply", json={**body, "files": [{"id": bad}]}) as response:
                assert (response.status, (await response.json())["code"]) == (422, "no-such-file")


async def test_a_file_that_no_answer_uses_goes_after_a_time_and_one_that_is_used_stays(site: Site) -> None:  # noqa: F811
    sweeper = UploadSweeper(site.context)
    blobs, kept = site.context.store.blobs, site.context.settings.uploads_kept
    later = SystemClock().now() + kept + timedelta(hours=1)  # so that a slow machine brings nothing after it

    def here() -> int:
        return len(list((blobs.folder / "uploads").iterdir()))

    async with site.http("ada") as session:
        item, body = await mine(site, session, email())
        _, used = await upload(session, b"the same", "a.txt", "text/plain")
        _, forgotten = await upload(session, b"the same", "a.txt", "text/plain")
        async with session.post(f"{item}/reply", json={**body, "files": [{"id": used["id"]}]}) as response:
            made = Reply.model_validate(await response.json())
        assert (await sweeper.sweep(SystemClock().now()), here()) == (0, 2)
        assert (await sweeper.sweep(later), here()) == (1, 1)
        assert (await sweeper.sweep(later), here()) == (0, 1)
        assert await blobs.get(made.files[0].dataref or "") == b"the same"
        more = {**body, "key": "another-key", "files": [{"id": forgotten["id"]}]}
        async with session.post(f"{item}/reply", json=more) as response:
            assert (response.status, (await response.json())["code"]) == (422, "no-such-file")
    assert "switchboard_uploads_removed_total 1.0" in site.context.metrics.render().decode()


async def test_withdrawing_lost_the_copies_and_files(site: Site) -> None:  # noqa: F811
    """They come back so that another answer can have them, however long ago they were uploaded."""
    sweeper, kept = UploadSweeper(site.context), site.context.settings.uploads_kept
    async with site.http("ada") as session:
        item, body = await mine(site, session, email())
        _, pdf = await upload(session, b"%PDF", "list.pdf", "application/pdf")
        _, image = await upload(session, PNG, "a.png", "image/png")
        body |= {"files": [{"id": pdf["id"]}, {"id": image["id"], "inline": True}], "cc": ["bob@example.net"]}
        async with session.post(f"{item}/reply", json=body) as response:
            made = Reply.model_validate(await response.json())
        await sweeper.sweep(SystemClock().now() + kept - timedelta(seconds=1))
        await sweeper.sweep(SystemClock().now() + kept + timedelta(hours=1))  # forgets who had used them
        async with session.post(f"/api/desk/replies/{quote(made.id)}/withdraw") as response:
            given = await response.json()
        assert (given["text"], given["cc"]) == (body["text"], ["bob@example.net"])
        assert [(f["name"], f["media_type"], f["size"], f["inline"]) for f in given["files"]] == [
            ("list.pdf", "application/pdf", 4, False),
            ("a.png", "image/png", 8, True),
        ]
        again = [{"id": each["id"], "inline": each["inline"]} for each in given["files"]]
        async with session.post(f"{item}/reply", json={**body, "key": "another-key", "files": again}) as response:
            assert response.status == 200, await response.text()
            anew = Reply.model_validate(await response.json())
    assert (anew.files, anew.cc) == (made.files, made.cc)
    assert await site.context.store.blobs.get(anew.files[0].dataref or "") == b"%PDF"


async def test_a_sweep_that_was_cut_off_is_finished_by_the_next(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    sweeper, blobs = UploadSweeper(site.context), site.context.store.blobs
    later = SystemClock().now() + timedelta(days=2)
    async with site.http("ada") as session:
        await upload(session, b"x", "x.txt", "text/plain")

    async def away(dataref: str) -> None:
        raise StoreUnavailable("away, as told")

    with monkeypatch.context() as patched:
        patched.setattr(blobs, "remove_upload", away)
        with pytest.raises(StoreUnavailable):
            await sweeper.sweep(later)
    assert await sweeper.sweep(later) == 1
    assert list((blobs.folder / "uploads").iterdir()) == []


async def test_nobody_uploads_without_a_token_and_nothing_too_large(site: Site) -> None:  # noqa: F811
    async with site.http(None) as session:
        assert (await upload(session, b"x", "x.txt", "text/plain"))[0] == 401
    async with site.http("ada") as session:
        assert (await upload(session, b"x" * (10 * 1024 * 1024 + 1), "x.bin", "text/plain"))[0] == 413
        async with session.post(FILES, data=b"no form") as response:
            assert response.status == 422
        _, six = await upload(session, b"x" * (6 * 1024 * 1024), "x.bin", "a/b")
        _, text = await upload(session, b"x", "x.txt", "text/plain")
        item, body = await mine(site, session, email())
        for files, status in (([{"id": six["id"]}] * 2, 413), ([{"id": text["id"], "inline": True}], 422)):
            async with session.post(f"{item}/reply", json={**body, "files": files}) as response:
                assert response.status == status
        for cc in (["nobody"], ["a@example.org\r\nBcc: b@example.org"]):
            async with session.post(f"{item}/reply", json={**body, "cc": cc}) as response:
                assert response.status == 422


async def test_a_chat_says_that_it_carries_words_alone(site: Site) -> None:  # noqa: F811
    async with site.http("ada") as session:
        item, body = await mine(site, session, chat("help me please"))
        _, file = await upload(session, b"x", "x.txt", "text/plain")
        for more in ({"files": [{"id": file["id"]}]}, {"cc": ["bob@example.net"]}):
            async with session.post(f"{item}/complete", json={**body, **more}) as response:
                assert response.status == 409
                assert "carries words alone" in (await response.json())["detail"]


async def test_the_client_library_brings_files(site: Site, tmp_path: Path) -> None:  # noqa: F811
    (asked,) = await site.queued(email())
    path = tmp_path / "list.csv"
    path.write_bytes(b"a;b\n")
    async with QueueConsumer(site.url, site.tokens["ada"]) as queue:
        item = await queue.next()
        assert item is not None
        await item.complete("Enclosed.", files=[path], cc=["bob@example.net"])
    made = (await site.house.database.read(lambda c: replies.of_conversation(c, asked.conversation_id)))[-1]
    assert [(f.name, f.media_type, f.size) for f in made.files] == [("list.csv", "text/csv", 4)]
    assert made.cc == ("bob@example.net",)
    await site.queued(chat("help me please"))
    async with QueueConsumer(site.url, site.tokens["ada"]) as queue:
        item = await queue.next()
        assert item is not None
        with pytest.raises(Conflict):
            await item.reply("Enclosed.", files=[path])


async def test_the_command_line_attaches_files(site: Site, tmp_path: Path) -> None:  # noqa: F811
    (asked,) = await site.queued(email())
    path = tmp_path / "list.csv"
    path.write_bytes(b"a;b\n")
    item = (await site.item(asked)).id

    async def answer(*words: str) -> tuple[int, str]:
        argv, env = ("agents", "answer", item, *words, "--url", site.url), {"SWITCHBOARD_TOKEN": site.tokens["ada"]}
        done = await asyncio.to_thread(switchboard, *argv, env=env)
        return done.returncode, done.stderr

    code, said = await answer("Enclosed.", "--attach", str(tmp_path / "nothing"))
    assert (code != 0, "there is no such file" in said) == (True, True), said
    code, said = await answer("Enclosed.", "--attach", str(path), "--cc", "bob@example.net")
    assert code == 0, said
    made = (await site.house.database.read(lambda c: replies.of_conversation(c, asked.conversation_id)))[-1]
    assert (made.text, made.cc, [f.name for f in made.files]) == ("Enclosed.", ("bob@example.net",), ["list.csv"])


async def test_the_command_line_shows_ids_and_takes_references(site: Site) -> None:  # noqa: F811
    asked, other = await site.queued(email(), email("m2", sender="bob@example.net"))

    async def agents(*words: str) -> tuple[int, str, str]:
        argv, env = ("agents", *words, "--url", site.url), {"SWITCHBOARD_TOKEN": site.tokens["ada"]}
        done = await asyncio.to_thread(switchboard, *argv, env=env)
        return done.returncode, done.stdout, done.stderr

    _, told, _ = await agents("queue", "--json")
    waiting = [orjson.loads(line) for line in told.splitlines()]
    ids = [(await site.item(each)).id for each in (asked, other)]
    assert {(row["id"], row["reference"]) for row in waiting} == set(
        zip(ids, (asked.reference, other.reference), strict=True)
    )
    code, _, said = await agents("answer", other.reference.lower(), "It left today.")
    assert code == 0, said
    texts = [r.text for r in await site.house.replies(other) if not r.automatic]
    assert texts == ["It left today."]
    code, _, said = await agents("answer", other.reference, "Again.")
    assert (code, "nothing of" in said, "agents queue" in said) == (4, True, True), said


async def test_whoever_was_added_in_copy_takes_part(site: Site) -> None:  # noqa: F811
    async with site.http("ada") as session:
        item, body = await mine(site, session, email())
        async with session.post(f"{item}/reply", json={**body, "cc": ["bob@example.net"]}) as response:
            made = Reply.model_validate(await response.json())

    def sent(conn: Connection) -> None:
        deliveries.copy_in(conn, [made], NOW)
        deliveries.arrive(conn, "s", NOW, NOW.replace(year=2100))
        assert deliveries.begin(conn, made.id, "bob@example.net", owner="s", provider_id="ours@shop.example", now=NOW)

    await site.house.database.write(sent)
    theirs = await site.house.accept(email("b1", sender="bob@example.net", references=("ours@shop.example",)))
    assert theirs.conversation_id == made.conversation_id
    strange = await site.house.accept(email("e1", sender="eve@example.net", references=("ours@shop.example",)))
    assert strange.conversation_id != made.conversation_id
