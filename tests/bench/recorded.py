"""How fast a draft is run over what was recorded: `switchboard rules dry-run`, from its first look at the store to the
sum, with the processes that it starts.

100,000 interactions in SQLite, decided by 200 rules. Two drafts: one in which every tenth rule has another queue, as
drafts are; and one with another default queue, because of which everything has to be decided again.
"""

import asyncio
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from router.core.triage import decide
from rules.load import SECTIONS, load_policy, read_yaml
from rules.model import PolicySource
from rules.policy import compile_policy
from schemas.fast import as_struct, encode_decision
from schemas.structs import Facts
from store import policies
from store.database import Database
from store.schema import upgrade
from store.sql import Written
from store.tables import decisions, interactions
from tests.bench import traffic
from tests.kit.contacts import NOW

RULES, RECORDED, AT_ONCE = 200, 100_000, 2_000
TIMEOUT_S = 600
TEXT = "Subject: {{ reference }}\n\nHello {{ customer_name }},\nwe look after it.\n"
_COLUMNS = ("id", "conversation_id", "seq", "channel", "account", "customer_id", "received_at", "accepted_at")


def site(folder: Path, *, moved: int = 0, default_queue: str = "general") -> Path:
    """A configuration with the bench's rules, every `moved`th of them with another queue. Gives its file."""
    rng = random.Random(7)
    rules = [traffic.rule(number, rng) for number in range(RULES)]
    for rule in rules[::moved] if moved else ():
        rule["queue"] = "queue-4"
    (folder / "templates").mkdir(parents=True)
    (folder / "templates" / "status.en.txt").write_text(TEXT)
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules, allow_unicode=True))
    hours = {"timezone": "Europe/Berlin", "holidays": ["DE-BE"], "hours": {"mon-fri": ["08:00-18:00"]}}
    tree = {
        "version": 1,
        "rules": {"path": "rules.yaml", "templates": "templates/"},
        "business_hours": {"default": hours},
        "queues": {"general": {}} | {f"queue-{number}": {} for number in range(5)},
        "default_queue": default_queue,
    }
    file = folder / "switchboard.yaml"
    file.write_text(yaml.safe_dump(tree))
    return file


def policy_of(file: Path) -> PolicySource:
    tree = read_yaml(file, file.name)
    return load_policy(file.parent, {key: tree[key] for key in SECTIONS if key in tree})


async def fill(file: Path, count: int) -> None:
    """Record that many in the site's store, each with the decision of its policy."""
    source = policy_of(file)
    policy = compile_policy(source)
    async with Database.at("sqlite:///switchboard.db", _made(file.parent / "data")) as database:
        await upgrade(database)
        await database.write(lambda conn: policies.activate(conn, policy.version, source.to_json(), NOW))
        rows: list[dict[str, Any]] = []
        made: list[dict[str, Any]] = []

        def write(conn: Any) -> None:
            conn.execute(interactions.insert(), rows)
            conn.execute(decisions.insert(), made)

        for number, each in enumerate(traffic.interactions(count, RULES, policy.version), start=1):
            facts = Facts(customer_tier=traffic.TIERS[number % len(traffic.TIERS)], known=True)
            decision = decide(policy, as_struct(each), facts, each.accepted_at)
            row = {name: getattr(each, name) for name in _COLUMNS}
            body = Written(each.model_dump_json().encode())
            rows.append({**row, "state": "queued", "changed_at": each.accepted_at, "body": body})
            identity = {name: getattr(decision, name) for name in ("id", "interaction_id", "policy_version")}
            made.append({**identity, "decided_at": NOW, "body": Written(encode_decision(decision)[2])})
            if len(rows) == AT_ONCE or number == count:
                await database.write(write)
                rows.clear()
                made.clear()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def dry_run(file: Path, draft: Path) -> dict[str, Any]:
    """What the command says, `seconds` among it."""
    argv = [sys.executable, "-m", "switchboard", "--config", str(file), "rules", "dry-run", str(draft.parent)]
    argv += ["--since", "2026-03-01", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def figures(count: int = RECORDED, repeats: int = 3) -> dict[str, float]:
    """Interactions a second; the median of the repeats."""
    with tempfile.TemporaryDirectory() as folder:
        file = site(Path(folder) / "site")
        asyncio.run(fill(file, count))
        drafts = {
            "dry_run_per_s": site(Path(folder) / "moved", moved=10),
            "dry_run_all_again_per_s": site(Path(folder) / "again", default_queue="queue-4"),
        }
        speeds: dict[str, list[float]] = {name: [] for name in drafts}
        for _ in range(repeats):
            assert dry_run(file, file)["changed"] == 0
            for name, draft in drafts.items():
                found = dry_run(file, draft)
                assert found["looked_at"] == count and found["changed"], found
                speeds[name].append(count / found["seconds"])
        return {name: round(sorted(each)[len(each) // 2]) for name, each in speeds.items()}


if __name__ == "__main__":
    print(figures(int(sys.argv[1]) if len(sys.argv) > 1 else RECORDED))
