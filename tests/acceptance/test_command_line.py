"""The command line as people use it: real processes, exit statuses, JSON on stdout."""

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from store import policies
from store.blobs import Blobs
from store.database import Database
from store.intake import Intake
from store.outbox import Outbox
from store.schema import upgrade
from tests.kit.contacts import NOW, arrival, chat, email
from tests.kit.policies import example_policy

pytestmark = pytest.mark.acceptance
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert sb(tmp_path, "init", "site", config=False).returncode == 0
    return tmp_path


def sb(folder: Path, *words: str, config: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "switchboard", *(["--config", "site/switchboard.yaml"] if config else []), *words]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(
        argv, cwd=folder, env=environment, input=stdin, capture_output=True, text=True, timeout=60, check=False
    )


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
    assert sb(folder, "agents", "add", "ada", "--queue", "support").returncode == 0
    assert sb(folder, "agents", "add", "ada").returncode == 1
    assert sb(folder, "agents", "add", "ben", "--queue", "nowhere").returncode == 2
    assert sb(folder, "agents", "token", "nobody").returncode == 4
    token = rows(sb(folder, "agents", "token", "ada", "--json"))[0]["token"]
    assert str(token).startswith("sba_")
    for path in (folder / "site" / "data").rglob("*"):
        if path.is_file():
            assert str(token).encode() not in path.read_bytes(), f"the token stands in {path.name}"
    assert rows(sb(folder, "agents", "list", "--json")) == [
        {"agent": "ada", "name": "ada", "queues": ["support"], "enabled": True}
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
    assert sb(folder, "trace", "SB-9999").returncode == 4
    assert rows(sb(folder, "dead-letters", "list", "--json"))[0]["id"] == letter
    assert "\\xff junk" in sb(folder, "dead-letters", "show", letter).stdout
    assert sb(folder, "dead-letters", "replay", letter).returncode == 1, "bytes that gave no interaction"
    assert sb(folder, "dead-letters", "discard", letter).returncode == 2, "without --yes and without a terminal"
    assert sb(folder, "dead-letters", "discard", letter, "--yes").returncode == 0
    total = rows(sb(folder, "ledger", "--json"))[-1]
    assert (total["accepted"], total["closed"], total["balanced"]) == (3, 1, True)
    assert sb(folder, "deliveries", "resolve", "nothing", "--sent").returncode == 4
    assert rows(sb(folder, "deliveries", "list", "--json")) == []


def test_rules_explain_a_mail_from_a_file(folder: Path) -> None:
    mail = folder / "mail.eml"
    mail.write_bytes(b"From: a@example.org\r\nSubject: What are your opening hours?\r\n\r\nWhen are you open?\r\n")
    (found,) = rows(sb(folder, "rules", "explain", "--file", str(mail), "--json"))
    assert found["outcome"] == "answer"
    assert any(rule["result"] == "fired" for rule in found["rules"])  # type: ignore[attr-defined, index]
    words = sb(folder, "rules", "explain", "--file", str(mail)).stdout
    assert "fired" in words or "answer" in words
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
