"""The command line as people use it: real processes, exit statuses, JSON on stdout."""

import asyncio
import json
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.engine import Connection

from router.core.triage import decide
from schemas.decision import Facts
from schemas.fast import as_model, as_struct
from schemas.reply import Reply
from schemas.states import DeliveryState, InteractionState
from store import decisions, deliveries, ledger, policies, replies
from store.blobs import Blobs
from store.database import Database
from store.intake import Intake
from store.outbox import Outbox
from store.schema import upgrade
from tests.kit.contacts import NOW, arrival, chat, email
from tests.kit.events import examples
from tests.kit.policies import example_policy
from tests.kit.prefork import switchboard

pytestmark = pytest.mark.acceptance
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert sb(tmp_path, "init", "site", config=False).returncode == 0
    return tmp_path


def sb(folder: Path, *words: str, config: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return switchboard(*(["--config", "site/switchboard.yaml"] if config else []), *words, cwd=folder, stdin=stdin)


def rows(done: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def store(folder: Path) -> tuple[Database, Intake]:
    data = folder / "site" / "data"
    database = Database.at("sqlite:///switchboard.db", data)
    return database, Intake(database, Blobs(data / "blobs"), Outbox(lambda key: 0))


def test_help_version_and_mistakes(folder: Path) -> None:
    assert "demo" in sb(folder, "--help").stdout
    assert rows(sb(folder, "version", "--json")) == [{"version": "0.1.0"}]
    assert sb(folder, "--version", config=False).stdout == "0.1.0\n"
    assert sb(folder, "no-such-verb").returncode == 2
    missing = sb(folder, "--config", "nowhere.yaml", "check", config=False)
    assert missing.returncode == 2
    assert "there is no such file" in missing.stderr
    assert "Traceback" not in missing.stderr


def test_check_reports_every_mistake_and_exits_2(folder: Path) -> None:
    assert rows(sb(folder, "check", "--json"))[0]["ok"]
    config = folder / "site" / "switchboard.yaml"
    config.write_text(config.read_text().replace("partitions: 6", "partitions: x") + "\nfoo: 1\n")
    broken = sb(folder, "check")
    assert broken.returncode == 2
    assert "kafka.partitions" in broken.stderr
    assert "'foo'" in broken.stderr
    assert sb(folder, "run").returncode == 2, "nothing starts"


def test_an_unmigrated_store_says_what_to_do(folder: Path) -> None:
    done = sb(folder, "ledger")
    assert done.returncode in (2, 3)
    assert sb(folder, "migrate").returncode == 0
    assert rows(sb(folder, "ledger", "--json"))[-1]["accepted"] == 0


def test_agents_and_tokens(folder: Path) -> None:
    assert sb(folder, "migrate").returncode == 0
    assert sb(folder, "agents", "add", "ada", "--queue", "support", "--address", "Ada@shop.example").returncode == 0
    assert sb(folder, "agents", "add", "cleo", "--address", "ada@shop.example").returncode == 1, "two have one address"
    assert sb(folder, "agents", "add", "cleo", "--address", "nowhere").returncode == 2
    assert sb(folder, "agents", "add", "ada").returncode == 1
    assert sb(folder, "agents", "add", "ben", "--queue", "nowhere").returncode == 2
    assert sb(folder, "agents", "token", "nobody").returncode == 4
    token = rows(sb(folder, "agents", "token", "ada", "--json"))[0]["token"]
    assert str(token).startswith("sba_")
    for path in (folder / "site" / "data").rglob("*"):
        if path.is_file():
            assert str(token).encode() not in path.read_bytes(), f"the token stands in {path.name}"
    assert rows(sb(folder, "agents", "list", "--json")) == [
        {"agent": "ada", "name": "ada", "queues": ["support"], "address": "ada@shop.example", "enabled": True}
    ]
    assert "SWITCHBOARD_TOKEN" in sb(folder, "agents", "work").stderr
    assert sb(folder, "agents", "disable", "ada").returncode == 0


def test_ledger_interactions_trace_and_dead_letters(folder: Path) -> None:
    assert sb(folder, "migrate").returncode == 0
    database, intake = store(folder)

    async def fill() -> tuple[str, str]:
        policy = example_policy()
        async with database:
            await upgrade(database)
            await database.write(lambda c: policies.activate(c, policy.version, policy.source.to_json(), NOW))
            one = await intake.accept(arrival(email()), NOW)
            await intake.accept(arrival(chat()), NOW)
            letter = await intake.set_aside("phone_log", "calls", b"\xff junk", NOW, detail="no UTF-8")
            return one.interaction_id, letter

    identity, letter = asyncio.run(fill())
    total = rows(sb(folder, "ledger", "--json"))[-1]
    assert (total["accepted"], total["received"], total["dead_letter"], total["balanced"]) == (3, 2, 1, True)
    assert "accepted" in sb(folder, "ledger").stdout
    assert len(rows(sb(folder, "interactions", "list", "--json"))) == 3
    assert len(rows(sb(folder, "interactions", "list", "--state", "dead_letter", "--json"))) == 1
    story = rows(sb(folder, "trace", "SB-1001", "--json"))
    assert story[0]["event"] == "received"
    assert story == rows(sb(folder, "trace", identity, "--json"))
    told = sb(folder, "trace", "SB-1001").stdout
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  \+   0\.000 s  received", told), told
    assert sb(folder, "trace", "SB-9999").returncode == 4
    assert sb(folder, "trace", "XX-1001").returncode == 4, "the right digits of another house"
    assert sb(folder, "trace", "sb-1001").returncode == 0
    assert rows(sb(folder, "dead-letters", "list", "--json"))[0]["id"] == letter
    assert "\\xff junk" in sb(folder, "dead-letters", "show", letter).stdout
    assert sb(folder, "dead-letters", "replay", letter).returncode == 1, "bytes that gave no interaction"
    assert sb(folder, "dead-letters", "discard", letter).returncode == 2, "without --yes and without a terminal"
    assert sb(folder, "dead-letters", "discard", letter, "--yes").returncode == 0
    total = rows(sb(folder, "ledger", "--json"))[-1]
    assert (total["accepted"], total["closed"], total["balanced"]) == (3, 1, True)
    assert sb(folder, "deliveries", "resolve", "nothing", "--sent").returncode == 4
    assert rows(sb(folder, "deliveries", "list", "--json")) == []


def test_a_held_message_is_released_by_its_reference_if_that_is_clear(folder: Path) -> None:
    assert sb(folder, "migrate").returncode == 0
    database, intake = store(folder)

    async def fill() -> list[str]:
        policy = example_policy()
        async with database:
            await database.write(lambda c: policies.activate(c, policy.version, policy.source.to_json(), NOW))
            found = [await intake.accept(arrival(chat(f"message {n}", n=n)), NOW) for n in (1, 2)]
            ids = [each.interaction_id for each in found]
            held = InteractionState.HELD
            await database.write(
                lambda c: ledger.move(c, ids, held, frm=[InteractionState.RECEIVED], actor="test", at=NOW)
            )
        return ids

    ids = asyncio.run(fill())
    both = sb(folder, "interactions", "release", "SB-1001")
    assert (both.returncode, "2 of SB-1001 are held" in both.stderr) == (1, True)
    assert all(each in both.stderr for each in ids)
    assert sb(folder, "interactions", "release", ids[0]).returncode == 0
    assert sb(folder, "interactions", "release", "sb-1001").returncode == 0
    none = sb(folder, "interactions", "release", "SB-1001")
    assert (none.returncode, "nothing of SB-1001 is held" in none.stderr) == (1, True)
    assert sb(folder, "interactions", "release", "SB-9999").returncode == 4


def test_deferred_deliveries_are_tried_at_once(folder: Path) -> None:
    assert sb(folder, "migrate").returncode == 0
    database, _ = store(folder)
    made = examples()["reply"]
    assert isinstance(made, Reply)

    async def fill() -> None:
        async with database:

            def work(c: Connection) -> None:
                out = Outbox(lambda key: 0)
                replies.request(c, out, [made])
                deliveries.copy_in(c, [made], NOW)
                deliveries.arrive(c, "s", NOW, datetime.max.replace(tzinfo=UTC))
                who = made.recipient.address
                assert deliveries.begin(c, made.id, who, owner="s", provider_id="x", now=NOW)
                deliveries.finish(c, out, made.id, who, DeliveryState.DEFERRED, frm=[DeliveryState.ATTEMPTING], now=NOW)

            await database.write(work)

    assert sb(folder, "deliveries", "retry", made.id).returncode == 4
    asyncio.run(fill())
    for words in ((made.id,), ("--account", made.account), ("--all-deferred",)):
        done = sb(folder, "deliveries", "retry", *words)
        assert (done.returncode, "1 delivery is due now" in done.stderr) == (0, True), done.stderr
    assert sb(folder, "deliveries", "retry").returncode == 2
    assert sb(folder, "deliveries", "retry", made.id, "--all-deferred").returncode == 2
    assert sb(folder, "deliveries", "retry", "--account", "nobody").returncode == 2


def test_an_unknown_outcome_is_settled_for_one_recipient_at_a_time(folder: Path) -> None:
    """`resolve ID --resend` sent the mail again to everybody, also to whom it had reached."""
    assert sb(folder, "migrate").returncode == 0
    database, _ = store(folder)
    example = examples()["reply"]
    assert isinstance(example, Reply)
    made, ann, bob = (
        example.model_copy(update={"cc": ("bob@example.net",)}),
        example.recipient.address,
        "bob@example.net",
    )

    async def fill() -> None:
        async with database:

            def work(c: Connection) -> None:
                out = Outbox(lambda key: 0)
                replies.request(c, out, [made])
                deliveries.copy_in(c, [made], NOW)
                deliveries.arrive(c, "s", NOW, datetime.max.replace(tzinfo=UTC))
                for who in (ann, bob):
                    assert deliveries.begin(c, made.id, who, owner="s", provider_id="x", now=NOW)
                deliveries.orphaned(c, out, "me", NOW, alone=True)

            await database.write(work)

    def states() -> dict[object, object]:
        return {row["recipient"]: row["state"] for row in rows(sb(folder, "deliveries", "list", "--json"))}

    asyncio.run(fill())
    both = sb(folder, "deliveries", "resolve", made.id, "--resend")
    assert (both.returncode, f"--recipient {ann}" in both.stderr, f"--recipient {bob}" in both.stderr) == (
        1,
        True,
        True,
    )
    assert states() == {ann: "unknown", bob: "unknown"}
    one = sb(folder, "deliveries", "resolve", made.id, "--resend", "--recipient", bob)
    assert (one.returncode, f"{bob}: will be sent again" in one.stderr) == (0, True), one.stderr
    assert states() == {ann: "unknown", bob: "pending"}
    assert sb(folder, "deliveries", "resolve", made.id, "--sent", "--recipient", "eve@example.net").returncode == 4
    assert sb(folder, "deliveries", "resolve", made.id, "--sent").returncode == 0, "one alone is left"
    assert states() == {ann: "sent", bob: "pending"}


def test_rules_explain_a_mail_from_a_file(folder: Path) -> None:
    mail = folder / "mail.eml"
    mail.write_bytes(b"From: a@example.org\r\nSubject: What are your opening hours?\r\n\r\nWhen are you open?\r\n")
    (found,) = rows(sb(folder, "rules", "explain", "--file", str(mail), "--json"))
    keys = "interaction_id policy_version facts considered rules decision errors"
    assert list(found) == keys.split()
    assert list(found["rules"][0]) == ["name", "file", "line", "order", "result", "failed", "actions"]  # type: ignore[index]
    keys = "answer queue tier target_s deadline skills tags attributes hold notify webhook stopped_by"
    assert list(found["decision"]) == keys.split()  # type: ignore[call-overload]
    assert found["decision"]["answer"] == "opening-hours"  # type: ignore[index]
    assert any(rule["result"] == "fired" for rule in found["rules"])  # type: ignore[attr-defined]
    beside = folder / "mails"
    beside.mkdir()
    (beside / "1.json").write_text("{}")
    shutil.copy(mail, beside / "2.eml")
    done = sb(folder, "rules", "explain", "--file", str(beside))
    assert (done.returncode, "2.eml" in done.stdout, "1.json: account: Field required" in done.stderr) == (
        2,
        True,
        True,
    )
    assert "fired" in done.stdout
    assert sb(folder, "rules", "explain").returncode == 2
    assert rows(sb(folder, "rules", "check", "--json"))[0]["ok"]


def test_schemas_export_writes_one_file_per_event(folder: Path) -> None:
    assert sb(folder, "schemas", "export", "out", config=False).returncode == 0
    assert len(list((folder / "out").glob("switchboard.*.v1.json"))) == 7


def test_topics_need_a_lasting_broker(folder: Path) -> None:
    done = sb(folder, "topics", "check")
    assert done.returncode == 2
    assert "--brokers" in done.stderr
    assert sb(folder, "topics", "check", "--brokers", "127.0.0.1:1").returncode == 3


def test_doctor_says_in_words_what_is_wrong(folder: Path) -> None:
    found = {
        row["service"]: row for row in (json.loads(line) for line in sb(folder, "doctor", "--json").stdout.splitlines())
    }
    assert found["store"]["ok"]
    assert not found["smtp of support"]["ok"]
    assert found["smtp of support"]["hint"]


def test_doctor_knows_what_a_local_kafka_needs(folder: Path) -> None:
    config = folder / "site" / "switchboard.yaml"
    config.write_text(config.read_text().replace("kafka: {brokers: embedded", "kafka: {brokers: local"))
    done = sb(folder, "doctor", "--json")
    kafka = next(row for row in map(json.loads, done.stdout.splitlines()) if row["service"] == "kafka")
    there = shutil.which("java", path="/usr/bin:/bin") and shutil.which("mvn", path="/usr/bin:/bin")
    assert kafka["ok"] == bool(there)
    assert ("not " in kafka["detail"]) if there else ("apt-get install" in kafka["hint"])
    asked = sb(folder, "topics", "check")
    assert asked.returncode == 2
    assert "not been started" in asked.stderr


def test_rules_publish_makes_the_configured_policy_the_active_one(folder: Path) -> None:
    assert sb(folder, "migrate").returncode == 0
    (row,) = rows(sb(folder, "rules", "publish", "--json"))
    (checked,) = rows(sb(folder, "rules", "check", "--json"))
    assert row["active"] == checked["policy_version"]
    found = {r["service"]: r for r in map(json.loads, sb(folder, "doctor", "--json").stdout.splitlines())}
    assert str(row["active"]) in found["store"]["detail"]


DRAFT = """
- name: everything
  when: "channel == 'email' && facts_are_fine"
  queue: complaint
"""


def test_a_draft_of_rules_is_checked_explained_and_run_over_what_was_recorded(folder: Path) -> None:
    draft = folder / "draft.yaml"
    draft.write_text(DRAFT)
    wrong = sb(folder, "rules", "check", "draft.yaml")
    assert wrong.returncode == 2
    assert "draft.yaml:3: rule everything: when: bad expression: unknown name 'facts_are_fine'" in wrong.stderr
    assert "draft.yaml:4: rule everything: unknown queue 'complaint' (did you mean complaints?)" in wrong.stderr
    draft.write_text(DRAFT.replace(" && facts_are_fine", "").replace("complaint", "complaints"))
    (customer, mail) = (folder / "customer.yaml", folder / "mail.eml")
    customer.write_text("tier: gold\n")
    mail.write_bytes(b"From: a@example.org\r\nSubject: Hello\r\n\r\nHi\r\n")
    asked = ("rules", "explain", "-f", "mail.eml", "--customer", "customer.yaml", "--at", "2026-03-04T10:00:00Z")
    (found,) = rows(sb(folder, *asked, "--rules", "draft.yaml", "--json"))
    assert found["decision"]["queue"] == "complaints"  # type: ignore[index]
    assert found["facts"]["customer_tier"] == "gold"  # type: ignore[index]
    (found,) = rows(sb(folder, *asked, "--all", "--json"))
    listed = found["rules"]
    assert len(listed) == rows(sb(folder, "rules", "check", "--json"))[0]["rules"]  # type: ignore[arg-type]
    assert sb(folder, "rules", "explain", "-f", "mail.eml", "--at", "noon").returncode == 2
    customer.write_text("teir: gold\n")
    assert "unknown key 'teir'" in sb(folder, *asked).stderr


def test_rules_test_shows_what_is_not_as_expected(folder: Path) -> None:
    passed = sb(folder, "rules", "test")
    assert passed.returncode == 0, passed.stdout
    cases = folder / "mine.yaml"
    cases.write_text("- {case: mine, given: {subject: Hello}, expect: {queue: orders}}")
    failed = sb(folder, "rules", "test", "mine.yaml")
    assert failed.returncode == 1
    assert "mine (mine.yaml:1)" in failed.stdout
    assert "queue: expected orders, got support" in failed.stdout


def test_publishing_a_draft_and_going_back(folder: Path) -> None:
    assert sb(folder, "migrate").returncode == 0
    (first,) = rows(sb(folder, "rules", "publish", "--json"))
    (folder / "draft.yaml").write_text(DRAFT)
    assert sb(folder, "rules", "publish", "--rules", "draft.yaml").returncode == 2, "the old one stays"
    (folder / "draft.yaml").write_text("- {name: all, queue: support}")
    (second,) = rows(sb(folder, "rules", "publish", "--rules", "draft.yaml", "--json"))
    listed = rows(sb(folder, "rules", "versions", "--json"))
    assert [(v["version"], v["active"]) for v in listed] == [(second["active"], True), (first["active"], False)]
    assert rows(sb(folder, "rules", "publish", str(first["active"]), "--json")) == [first]
    assert rows(sb(folder, "rules", "versions", "--json"))[0]["version"] == first["active"]
    assert sb(folder, "rules", "publish", "p-000000000000").returncode == 4
    # Going back is for when the files are wrong.
    next((folder / "site" / "rules").glob("*.yaml")).write_text("- {name: x, queue: nowhere}")
    assert sb(folder, "rules", "publish", "--json").returncode == 2
    assert rows(sb(folder, "rules", "publish", str(second["active"]), "--json")) == [second]
    assert rows(sb(folder, "rules", "versions", "--json"))[0]["version"] == second["active"]


def test_a_dry_run_of_the_active_policy_changes_nothing_and_one_of_a_draft_says_what_it_moves(folder: Path) -> None:
    assert sb(folder, "migrate").returncode == 0
    rows(sb(folder, "rules", "publish", "--json"))
    database, intake = store(folder)

    async def fill() -> None:
        policy = example_policy()
        async with database:
            now = datetime.now(UTC)
            for contact in (email("m1@example.org"), chat(), email("m2@example.org")):
                done = await intake.accept(arrival(contact.model_copy(update={"received_at": now})), now)
                known = await database.read(lambda conn, key=done.interaction_id: ledger.load(conn, [key]))  # type: ignore[misc]
                interaction = as_struct(known[done.interaction_id])
                made = as_model(decide(policy, interaction, Facts(customer_tier="gold"), now))
                await database.write(lambda conn, made=made: decisions.add(conn, [(made, "")]))  # type: ignore[misc]

    asyncio.run(fill())
    (same,) = rows(sb(folder, "rules", "dry-run", "site", "--since", "7d", "--json"))
    assert (same["looked_at"], same["changed"], same["moves"]) == (3, 0, [])
    (folder / "draft.yaml").write_text("- {name: all, when: {channel: email}, queue: complaints, tier: P1}")
    (moved,) = rows(sb(folder, "rules", "dry-run", "draft.yaml", "--json"))
    assert moved["looked_at"] == 3
    assert moved["changes"]["tier"] == 3  # type: ignore[index]
    # the draft knows no VIPs in chats
    words = sb(folder, "rules", "dry-run", "draft.yaml")
    assert "What would change" in words.stdout
    assert "3 interactions" in words.stderr


def test_what_is_known_of_customers_is_set_and_listed(folder: Path) -> None:
    assert sb(folder, "migrate").returncode == 0
    assert sb(folder, "customers", "set", "Ann@Example.org", "--tier", "gold", "--tag", "vip").returncode == 0
    assert sb(folder, "customers", "set", "ann@example.org", "--segment", "trade").returncode == 0
    (ann,) = rows(sb(folder, "customers", "list", "--json"))
    assert (ann["address"], ann["tier"], ann["segment"], ann["tags"]) == ("ann@example.org", "gold", "trade", ["vip"])
    assert sb(folder, "customers", "set", "ann@example.org", "--tier", "", "--no-tags").returncode == 0
    (ann,) = rows(sb(folder, "customers", "list", "ANN@example.org", "--json"))
    assert (ann["tier"], ann["segment"], ann["tags"]) == ("", "trade", "")
    wrong = sb(folder, "customers", "set", "ann@example.org", "--agreement", "golt")
    assert (wrong.returncode, "did you mean gold?" in wrong.stderr) == (2, True)
    assert sb(folder, "customers", "set", "+49 30 1234567", "--agreement", "gold").returncode == 0
    assert sb(folder, "customers", "list", "nobody@example.org").returncode == 4
    assert sb(folder, "customers", "set", "nobody").returncode == 2
