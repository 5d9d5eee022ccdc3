"""The desk's API and the client library over a real server: who may do what, and nothing is ever done twice."""

import asyncio
import re
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from sqlalchemy.engine import Connection

from agents import desk
from agents.models import CompleteRequest, ReplyRequest
from agents.port import Context
from agents.settings import DeskSettings
from channels.email.sending.plain import in_words
from ops import live
from ops.port import Context as OpsContext
from runtime.clock import SystemClock
from runtime.http.app import create_app
from runtime.http.server import HttpServer
from runtime.metrics import Metrics
from schemas.durations import parse_duration
from schemas.interaction import Interaction
from schemas.reply import Reply
from schemas.states import DeliveryState, InteractionState
from store import agents, deliveries, ledger, policies, work_items
from store.blobs import Blobs
from store.database import Database
from store.store import Store
from switchboard import Conflict, LeaseLost, NewerMessages, QueueConsumer, Unauthorized, Unreachable, WorkItem, client
from switchboard.client import consumer
from tests.contract.test_applier import House
from tests.kit.contacts import NOW, call, chat, email
from tests.kit.policies import example_policy

S = InteractionState
README = Path(__file__).parents[2] / "README.md"


@dataclass
class Site:
    house: House
    url: str
    server: HttpServer
    app: object
    context: Context
    tokens: dict[str, str] = field(default_factory=dict)

    async def queued(self, *contacts: object) -> list[Interaction]:
        accepted = [await self.house.accept(c) for c in contacts]
        await self.house.push(*(self.house.decide(i) for i in accepted))
        return accepted

    @asynccontextmanager
    async def http(self, agent: str | None) -> AsyncIterator[aiohttp.ClientSession]:
        headers = {"Authorization": f"Bearer {self.tokens.get(agent, agent)}"} if agent else {}
        async with aiohttp.ClientSession(base_url=self.url, headers=headers) as session:
            yield session

    async def item(self, interaction: Interaction) -> work_items.WorkItem:
        return (await self.house.items(interaction))[-1]


@pytest.fixture
async def site(database: Database, tmp_path: Path) -> AsyncIterator[Site]:
    policy = example_policy()
    await database.write(lambda c: policies.activate(c, policy.version, policy.source.to_json(), NOW))
    house = House(database, tmp_path)
    store = Store(database, Blobs(tmp_path), house.out, house.intake)
    settings = DeskSettings(lease=parse_duration("30s"), heartbeat=parse_duration("200ms"), max_items=3)
    metrics = Metrics()
    context = Context(
        store=store, clock=SystemClock(), metrics=metrics, settings=settings, secret=b"s" * 32, in_words=in_words
    )
    parts = desk.build(context)
    check = desk.token_check(store)
    routers = [*parts.routers, *live.build(OpsContext(store=store, clock=SystemClock(), metrics=metrics, check=check))]
    app = create_app(
        "desk", routers, readiness=dict, metrics=metrics, max_body_bytes=1_000_000, larger={desk.FILES: 11_000_000}
    )
    server = HttpServer(app, host="127.0.0.1", port=0)
    await server.start()
    found = Site(house, server.url, server, app, context)
    for name, queues in (("ada", ()), ("ben", ()), ("cleo", ("complaints",)), ("gone", ())):
        token = found.tokens[name] = agents.new_token()
        await database.write(lambda c, n=name, q=queues: agents.add(c, n, queues=q, at=NOW))
        await database.write(lambda c, n=name, t=token: agents.add_token(c, n, t, at=NOW))
    await database.write(lambda c: agents.disable(c, "gone", NOW))
    yield found
    await found.server.drain()
    await found.server.stop()


READS = [
    ("GET", "/api/desk/me"),
    ("GET", "/api/desk/work-items"),
    ("GET", "/api/desk/held"),
    ("GET", "/api/ops/ledger"),
    ("GET", "/api/ops/recent"),
]
ACTS = ["", "/accept", "/renew", "/reply", "/complete", "/release", "/hold"]
BODY = {"epoch": 1, "key": "12345678", "text": "x", "answers_through": 1}


@pytest.mark.parametrize("agent", [None, "sba_wrong", "gone"])
async def test_nobody_gets_in_without_a_valid_token(site: Site, agent: str | None) -> None:
    (interaction,) = await site.queued(chat("help me please"))
    item = quote((await site.item(interaction)).id, safe="")
    paths = [*READS, ("POST", "/api/desk/work-items/next")]
    paths += [("POST" if verb else "GET", f"/api/desk/work-items/{item}{verb}") for verb in ACTS]
    async with site.http(agent) as session:
        for method, path in paths:
            async with session.request(method, path, json=BODY if method == "POST" else None) as response:
                assert response.status == 401, (method, path)
                assert response.content_type == "application/problem+json"
        for path in ("/api/desk/ws", "/api/ops/ws"):
            async with session.ws_connect(path) as socket:
                await socket.send_json({"type": "auth", "token": "sba_wrong"})
                await socket.receive(timeout=5)
                assert socket.close_code == 1008


async def test_an_agent_of_another_queue_does_not_even_learn_that_the_item_exists(site: Site) -> None:
    (interaction,) = await site.queued(chat("help me please"))
    item = quote((await site.item(interaction)).id, safe="")
    async with site.http("cleo") as session:
        for verb in ACTS:
            async with session.request(
                "POST" if verb else "GET", f"/api/desk/work-items/{item}{verb}", json=BODY if verb else None
            ) as response:
                assert response.status == 404, verb
        async with session.post("/api/desk/work-items/next") as response:
            assert response.status == 204
        async with session.get("/api/desk/work-items") as response:
            assert (await response.json())["waiting"] == []


async def test_the_api_describes_itself(site: Site) -> None:
    async with site.http(None) as session, session.get("/openapi.json") as response:
        described = await response.json()
    paths, schemas = described["paths"], described["components"]["schemas"]
    for name, model in (("ReplyRequest", ReplyRequest), ("CompleteRequest", CompleteRequest)):
        for example in schemas[name]["examples"]:
            model.model_validate(example)
    assert {"/api/desk/work-items/next", "/api/desk/work-items/{item_id}/complete", "/api/ops/ledger"} <= set(paths)


async def test_a_mail_can_be_withdrawn_by_its_author_until_it_goes(site: Site) -> None:
    (asked,) = await site.queued(email())
    item = quote((await site.item(asked)).id, safe="")
    async with site.http("ada") as session, site.http("ben") as other:
        async with session.post("/api/desk/work-items/next") as response:
            epoch = (await response.json())["item"]["epoch"]
        body = {**BODY, "epoch": epoch}
        async with session.post(f"/api/desk/work-items/{item}/reply", json=body) as response:
            made = await response.json()
            assert response.status == 200, made
        assert made["not_before"] > made["created_at"]
        path = f"/api/desk/replies/{quote(made['id'], safe='')}/withdraw"
        async with other.post(path) as response:
            assert response.status == 404, "only the author"
        for _ in range(2):
            async with session.post(path) as response:
                assert response.status == 200, await response.text()
                given = await response.json()
        assert (given["conversation_id"], given["text"], given["cc"], given["files"]) == (
            asked.conversation_id,
            "x",
            [],
            [],
        )
    rows = await site.house.database.read(lambda c: deliveries.of_conversation(c, asked.conversation_id))
    (row,) = (row for row in rows if row.reply_id == made["id"])
    assert row.state is DeliveryState.WITHDRAWN
    await site.house.database.write(lambda c: deliveries.arrive(c, "s", NOW, NOW.replace(year=2100)))
    begun = await site.house.database.write(
        lambda c: deliveries.begin(c, made["id"], row.recipient, owner="s", provider_id="x@y", now=NOW)
    )
    assert not begun, "no sender may take it"


async def test_what_can_be_withdrawn_was_known_to_the_tab_alone_that_had_sent_it(site: Site) -> None:
    (asked,) = await site.queued(email())
    item = quote((await site.item(asked)).id, safe="")
    async with site.http("ada") as session, site.http("ben") as other, session.ws_connect("/api/desk/ws") as socket:
        assert (await socket.receive_json(timeout=5))["unsent"] == []
        async with session.post("/api/desk/work-items/next") as response:
            epoch = (await response.json())["item"]["epoch"]
        async with session.post(f"/api/desk/work-items/{item}/complete", json={**BODY, "epoch": epoch}) as response:
            made = Reply.model_validate((await response.json())["reply"])
        await site.house.database.write(lambda c: deliveries.copy_in(c, [made], made.created_at))

        async def told() -> list[dict[str, str]]:
            async with session.get("/api/desk/work-items") as response:
                return (await response.json())["unsent"]

        (waiting,) = await told()
        assert waiting | {"undo_until": ""} == {
            "id": made.id,
            "conversation_id": made.conversation_id,
            "reference": made.reference,
            "undo_until": "",
        }
        assert made.not_before is not None
        assert datetime.fromisoformat(waiting["undo_until"]) == made.not_before
        async with asyncio.timeout(10):
            while (await socket.receive_json())["unsent"] != [waiting]:
                pass
        async with other.get("/api/desk/work-items") as response:
            assert (await response.json())["unsent"] == [], "only its author may"
        async with session.post(f"/api/desk/replies/{quote(made.id, safe='')}/withdraw") as response:
            assert response.status == 200
        assert await told() == []
        async with asyncio.timeout(10):
            while (await socket.receive_json())["unsent"]:
                pass


async def test_a_mail_that_is_on_its_way_is_not_withdrawn(site: Site) -> None:
    (asked,) = await site.queued(email())
    item = quote((await site.item(asked)).id, safe="")
    async with site.http("ada") as session:
        async with session.post("/api/desk/work-items/next") as response:
            epoch = (await response.json())["item"]["epoch"]
        async with session.post(f"/api/desk/work-items/{item}/reply", json={**BODY, "epoch": epoch}) as response:
            made = Reply.model_validate(await response.json())

        def go(conn: Connection) -> bool:
            deliveries.copy_in(conn, [made], NOW)
            deliveries.arrive(conn, "s", NOW, NOW.replace(year=2100))
            address = made.recipient.address
            return deliveries.begin(conn, made.id, address, owner="s", provider_id="x@y", now=NOW)

        assert await site.house.database.write(go)
        async with session.post(f"/api/desk/replies/{quote(made.id, safe='')}/withdraw") as response:
            said = await response.json()
            assert (response.status, said["code"], "is being sent" in said["detail"]) == (409, "too-late", True)


async def test_an_unknown_outcome_is_settled_for_one_recipient_at_a_time(site: Site) -> None:
    (asked,) = await site.queued(email())
    item = quote((await site.item(asked)).id, safe="")
    async with site.http("ada") as session:
        async with session.post("/api/desk/work-items/next") as response:
            body = {**BODY, "epoch": (await response.json())["item"]["epoch"], "cc": ["bob@example.net"]}
        async with session.post(f"/api/desk/work-items/{item}/reply", json=body) as response:
            made = Reply.model_validate(await response.json())
        both = deliveries.recipients(made)

        def lost(conn: Connection) -> None:
            deliveries.copy_in(conn, [made], NOW)
            deliveries.arrive(conn, "s", NOW, NOW.replace(year=2100))
            for each in both:
                deliveries.begin(conn, made.id, each, owner="s", provider_id="x@y", now=NOW)
            deliveries.orphaned(conn, site.house.out, "me", NOW, alone=True)

        await site.house.database.write(lost)
        path = f"/api/desk/replies/{quote(made.id, safe='')}/settle"
        async with session.post(path, json={"sent": True}) as response:
            said = await response.json()
            assert (response.status, said["code"], said["recipients"]) == (409, "which-recipient", sorted(both))
        for who, word, status in ((both[1], False, 204), (both[1], True, 409), ("eve@example.net", True, 404)):
            async with session.post(path, json={"sent": word, "recipient": who}) as response:
                assert response.status == status, await response.text()
        rows = await site.house.database.read(lambda c: deliveries.of_conversation(c, made.conversation_id))
    states = {row.recipient: row.state for row in rows if row.reply_id == made.id}
    assert states == {both[0]: DeliveryState.UNKNOWN, both[1]: DeliveryState.PENDING}


async def test_what_is_set_aside_is_released_or_closed_with_one_call(site: Site) -> None:
    first, second = await site.queued(email("m1", text="Buy my pills"), email("m2", text="Buy my watches"))
    async with site.http("ada") as session:
        for interaction in (first, second):
            item = quote((await site.item(interaction)).id, safe="")
            async with session.post(f"/api/desk/work-items/{item}/accept") as response:
                epoch = (await response.json())["item"]["epoch"]
            async with session.post(f"/api/desk/work-items/{item}/hold", json={"epoch": epoch}) as response:
                assert (await response.json())["state"] == "canceled"
        async with session.get("/api/desk/held") as response:
            assert {(h["id"], h["reason"]) for h in await response.json()} == {(first.id, "spam"), (second.id, "spam")}
    async with site.http("cleo") as session:  # who serves another queue
        async with session.get("/api/desk/held") as response:
            assert await response.json() == []
        async with session.post(f"/api/desk/held/{first.id}/release") as response:
            assert response.status == 404
    async with site.http("ben") as session:
        for path, body, status in (
            (f"{first.id}/release", None, 204),
            (f"{first.id}/release", None, 409),
            (f"{second.id}/close", {"reason": "spam"}, 204),
            ("nothing/close", {}, 404),
        ):
            async with session.post(f"/api/desk/held/{path}", json=body) as response:
                assert response.status == status, path
        async with session.get("/api/desk/held") as response:
            assert await response.json() == []
    assert await site.house.state(first) is S.RECEIVED
    assert await site.house.state(second) is S.CLOSED


async def test_an_item_shows_what_a_machine_wrote(site: Site) -> None:
    (asked,) = await site.queued(email())
    receipt = email("r1", references=("m1@example.org",), text="Your mail was displayed.", automatic="a receipt")
    content = receipt.content.model_copy(update={"automatic_class": "receipt"})
    await site.house.accept(receipt.model_copy(update={"content": content}))
    async with site.http("ada") as session:
        async with session.get(f"/api/desk/work-items/{quote((await site.item(asked)).id, safe='')}") as response:
            shown = (await response.json())["messages"]
        assert [(m["automatic"], m["state"]) for m in shown] == [("", "queued"), ("receipt", "closed")]
        assert shown[1]["text"] == "Your mail was displayed."


async def test_what_others_have_set_aside_hides_nothing_of_mine(site: Site) -> None:
    """The newest were read first and looked through afterwards: mine could be older than all that were read."""
    old = await site.house.accept(email("old", queue="complaints"))
    new = [await site.house.accept(email(f"new{n}", queue="support")) for n in range(3)]
    ids = [interaction.id for interaction in (old, *new)]
    await site.house.database.write(lambda c: ledger.move(c, ids, S.HELD, frm=[S.RECEIVED], actor="test", at=NOW))
    async with site.http("cleo") as session, session.get("/api/desk/held?limit=2") as response:
        assert [held["id"] for held in await response.json()] == [old.id]
    async with site.http("ada") as session, session.get("/api/desk/held?limit=2") as response:
        assert len(await response.json()) == 2


async def test_the_line_is_pushed(site: Site) -> None:
    async with site.http("ada") as session, session.ws_connect("/api/desk/ws") as socket:
        assert (await socket.receive_json(timeout=5))["waiting"] == []
        await site.queued(chat("help me please"))
        line = await socket.receive_json(timeout=5)
        assert [w["reference"] for w in line["waiting"]] == ["SB-1001"]


async def test_an_agent_answers_through_the_client_library(site: Site) -> None:
    (interaction,) = await site.queued(chat("help me please"))
    async with QueueConsumer(site.url, site.tokens["ada"]) as queue:
        assert queue.name == "ada"
        item = await queue.next()
        assert item is not None
        assert (item.text, item.channel, item.reference) == ("help me please", "chat", "SB-1001")
        assert any("priority table" in line for line in item.why)
        assert item.customer == "visitor", "a session's id means nothing to anybody"
        assert not [line for line in item.why if "chat-greeting" in line][1:], "a rule is named once"
        await item.reply("One moment.")
        await item.complete("Here you are.")
        assert await queue.next() is None
    texts = [r.text for r in await site.house.replies(interaction) if not r.automatic]
    assert texts == ["One moment.", "Here you are."]
    assert await site.house.state(interaction) is S.ANSWERING


@pytest.mark.parametrize("source", ["the library", "the README"])
async def test_the_example_of_the_documents_works(site: Site, source: str) -> None:
    (interaction,) = await site.queued(chat("help me please"))
    if source == "the library":
        (code,) = re.findall(r"\n\n(    async with .*?)\n\n", client.__doc__ or "", re.DOTALL)
        code = textwrap.dedent(code)
    else:
        (code,) = re.findall(r"```python\n(from switchboard import QueueConsumer.*?)```", README.read_text(), re.DOTALL)
    code = code.replace("http://127.0.0.1:8080", site.url)
    names: dict[str, Any] = {"QueueConsumer": QueueConsumer, "token": site.tokens["ada"]}
    exec(f"async def example():\n{textwrap.indent(code, '    ')}", names)
    running = asyncio.create_task(names["example"]())
    async with asyncio.timeout(10):
        while await site.house.state(interaction) is not S.ANSWERING:
            assert not running.done()
            await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    (reply,) = [r for r in await site.house.replies(interaction) if not r.automatic]
    assert reply.text.startswith("Thank you")


async def test_newer_messages_are_handed_over_and_nothing_is_sent(site: Site) -> None:
    (interaction,) = await site.queued(chat("help me please"))
    async with QueueConsumer(site.url, site.tokens["ada"]) as queue:
        item = await queue.next()
        assert item is not None
        await site.queued(chat("one more thing", n=2))
        with pytest.raises(NewerMessages) as refused:
            await item.complete("Done.")
        assert [m["text"] for m in refused.value.messages] == ["one more thing"]
        await item.refresh()
        await item.complete("Both done.")
    texts = [r.text for r in await site.house.replies(interaction) if not r.automatic]
    assert texts == ["Both done."]


async def test_what_is_taken_is_taken(site: Site) -> None:
    (interaction,) = await site.queued(chat("help me please"))
    wanted = (await site.item(interaction)).id
    async with QueueConsumer(site.url, site.tokens["ada"]) as ada, QueueConsumer(site.url, site.tokens["ben"]) as ben:
        held = await ada.accept(wanted)
        with pytest.raises(Conflict, match="taken by ada"):
            await ben.accept(wanted)
        await held.release()
        assert (await ben.accept(wanted)).epoch == 2
        with pytest.raises(LeaseLost, match="taken by ben"):
            await held.complete("too late")


async def test_twenty_agents_at_once_get_twenty_items(site: Site) -> None:
    await site.queued(*(chat("help me please", session=f"s{n}") for n in range(6)))
    async with QueueConsumer(site.url, site.tokens["ada"]) as ada, QueueConsumer(site.url, site.tokens["ben"]) as ben:
        got = await asyncio.gather(*(queue.next() for queue in (ada, ben) for _ in range(3)))
        assert len({item.id for item in got if item}) == 6
        with pytest.raises(Conflict, match="3 work items already"):
            await ada.next()


async def test_a_call_is_answered_by_calling_back(site: Site) -> None:
    (interaction,) = await site.queued(call())
    async with QueueConsumer(site.url, site.tokens["ada"]) as queue:
        item = await queue.next()
        assert item is not None
        with pytest.raises(Conflict, match="cannot be answered in writing"):
            await item.reply("hello?")
        await item.complete()
    assert await site.house.state(interaction) is S.ANSWERED


async def test_leases_are_renewed_while_the_consumer_is_open(site: Site) -> None:
    (interaction,) = await site.queued(chat("help me please"))
    async with QueueConsumer(site.url, site.tokens["ada"]) as queue:
        await queue.next()
        first = (await site.item(interaction)).leased_until
        async with asyncio.timeout(5):
            while (await site.item(interaction)).leased_until == first:
                await asyncio.sleep(0.05)


async def test_a_server_that_goes_away_in_the_middle_gives_one_reply(site: Site) -> None:
    """The request is repeated under the same key, whether or not the first one had been carried out."""
    (interaction,) = await site.queued(chat("help me please"))
    async with QueueConsumer(site.url, site.tokens["ada"]) as queue:
        item = await queue.next()
        assert item is not None
        port = site.server.port
        await site.server.drain()
        await site.server.stop()
        answering = asyncio.create_task(item.reply("Only once."))
        await asyncio.sleep(0.3)
        site.server = HttpServer(site.app, host="127.0.0.1", port=port)  # type: ignore[arg-type]
        await site.server.start()
        async with asyncio.timeout(20):
            await answering
    assert [r.text for r in await site.house.replies(interaction) if not r.automatic] == ["Only once."]


async def test_completing_again_after_a_lost_response_is_no_error_and_no_second_reply(site: Site) -> None:
    (interaction,) = await site.queued(chat("help me please"))
    async with QueueConsumer(site.url, site.tokens["ada"]) as queue:
        item = await queue.next()
        assert item is not None
        body = {"epoch": item.epoch, "answers_through": 1, "text": "Once.", "key": "the-same-key"}
        path = f"/work-items/{quote(item.id, safe='')}/complete"
        for _ in range(2):
            done = await queue.call("POST", path, body)
            assert (done["item"]["state"], done["reply"]["text"]) == ("completed", "Once.")
        for other in ({"text": "Other words."}, {"text": "Other words.", "key": "another-key"}):
            with pytest.raises(Conflict):
                await queue.call("POST", path, body | other)
    assert [r.text for r in await site.house.replies(interaction) if not r.automatic] == ["Once."]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"answers_through": 999}, 409, "no-such-seq"),
        ({"answers_through": 10**30}, 422, ""),
        ({"epoch": 10**30}, 422, ""),
        ({"text": "  \n "}, 422, ""),
        ({"text": "Other words."}, 409, "key-reused"),
    ],
    ids=["a message that there is not", "a number that no database takes", "an epoch", "blanks", "a key used before"],
)
async def test_a_reply_that_cannot_be_meant_is_refused(
    site: Site, change: dict[str, object], status: int, code: str
) -> None:
    (interaction,) = await site.queued(chat("help me please"))
    async with QueueConsumer(site.url, site.tokens["ada"]) as queue, site.http("ada") as session:
        item = await queue.next()
        assert item is not None
        body = {"epoch": item.epoch, "key": "the-same-key", "text": "First words.", "answers_through": 1}
        path = f"/api/desk/work-items/{quote(item.id, safe='')}/reply"
        async with session.post(path, json=body) as response:
            assert response.status == 200
        async with session.post(path, json={**body, **change}) as response:
            assert response.status == status
            assert (await response.json()).get("code", "") == code
    assert [r.text for r in await site.house.replies(interaction) if not r.automatic] == ["First words."]


async def test_run_releases_what_a_handler_fails_on(site: Site) -> None:
    (interaction,) = await site.queued(chat("help me please"))
    seen: list[str] = []

    async def handle(item: WorkItem) -> None:
        seen.append(item.id)
        if len(seen) == 1:
            raise ValueError("a handler's own trouble")
        await item.complete("Second time lucky.")

    async with QueueConsumer(site.url, site.tokens["ada"]) as queue:
        task = asyncio.create_task(queue.run(handle))
        async with asyncio.timeout(10):
            while await site.house.state(interaction) is not S.ANSWERING:
                await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert len(seen) == 2


async def test_who_tries_again_by_hand_gives_one_answer(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    (interaction,) = await site.queued(chat("help me please"))
    async with QueueConsumer(site.url, site.tokens["ada"]) as queue:
        item = await queue.next()
        assert item is not None
        real = queue.call

        async def lost(method: str, path: str, body: dict[str, object] | None = None) -> object:
            await real(method, path, body)
            raise Unreachable("the response was lost")

        with monkeypatch.context() as patch:
            patch.setattr(queue, "call", lost)
            with pytest.raises(Unreachable):
                await item.reply("Only once.")
        await item.reply("Only once.")
        await item.reply("Only once.")  # meant this time: the one before has succeeded
    assert [r.text for r in await site.house.replies(interaction) if not r.automatic] == ["Only once."] * 2


async def test_accepting_and_releasing_again_after_a_lost_response_is_no_error(site: Site) -> None:
    (interaction,) = await site.queued(chat("help me please"))
    wanted = (await site.item(interaction)).id
    async with QueueConsumer(site.url, site.tokens["ada"]) as queue:
        one, two = await queue.accept(wanted), await queue.accept(wanted)
        assert one.epoch == two.epoch == 1
        await one.release()
        await one.release()
    assert (await site.item(interaction)).state == "queued"


async def test_what_is_held_when_the_consumer_closes_is_given_back(site: Site) -> None:
    (interaction,) = await site.queued(chat("help me please"))
    async with QueueConsumer(site.url, site.tokens["ada"]) as queue:
        async for _ in queue:
            break
        assert (await site.item(interaction)).state == "assigned"
    assert (await site.item(interaction)).state == "queued"


async def test_a_waiting_consumer_is_told_of_work(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "LONG_POLL_S", 3600.0)
    async with QueueConsumer(site.url, site.tokens["ada"]) as queue:
        waiting = asyncio.ensure_future(anext(aiter(queue)))
        async with asyncio.timeout(5):
            while not queue._watching:
                await asyncio.sleep(0.02)
        await asyncio.sleep(1.2)  # the last question from before it was told: from now on it only listens
        assert not waiting.done()
        await site.queued(chat("help me please"))
        async with asyncio.timeout(3):
            assert (await waiting).reference == "SB-1001"


@pytest.mark.parametrize("path", ["/api/desk/ws", "/api/ops/ws"])
async def test_an_open_socket_ends_when_its_agent_is_disabled(site: Site, path: str) -> None:
    async with site.http("ada") as session, session.ws_connect(path) as socket:
        await socket.receive_json(timeout=5)
        await site.house.database.write(lambda c: agents.disable(c, "ada", NOW))
        await site.queued(chat("not for their eyes any more"))
        frame = await socket.receive(timeout=5)
        assert frame.type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 1008


async def test_the_control_room_shows_an_agent_no_more_than_the_desk(site: Site) -> None:
    await site.queued(chat("help me please"))
    async with site.http("cleo") as session:
        async with session.get("/api/ops/recent") as response:
            assert await response.json() == []
        async with session.ws_connect("/api/ops/ws") as socket:
            frame = await socket.receive_json(timeout=5)
    assert frame["recent"] == []
    assert frame["ledger"]["total"]["accepted"] == 1, "counts are for everybody"


async def test_a_wrong_token_says_what_to_do(site: Site) -> None:
    with pytest.raises(Unauthorized) as refused:
        async with QueueConsumer(site.url, "sba_wrong"):
            pass
    assert "agents token" in refused.value.hint


async def test_the_control_room_shows_the_sum_and_the_reasons(site: Site) -> None:
    await site.queued(chat("help me please"), call())
    async with site.http("ada") as session:
        async with session.get("/api/ops/ledger") as response:
            ledger = await response.json()
        async with session.get("/api/ops/recent") as response:
            recent = await response.json()
    assert ledger["balanced"]
    assert ledger["total"]["accepted"] == 2 == sum(ledger["total"]["states"].values())
    assert {r["channel"] for r in recent} == {"chat", "phone_log"}
    assert all(r["why"] and r["tier"] for r in recent)
