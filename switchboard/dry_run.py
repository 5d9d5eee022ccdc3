"""Recorded interactions, decided by two policies: what would be decided otherwise. The part that its processes load."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import msgspec

from router.core.triage import decide_safely
from rules.difference import Difference
from rules.model import PolicySource
from rules.policy import Policy, compile_policy
from schemas.structs import Facts, Interaction
from store import recorded
from store.database import Database

EXAMPLES = 3
KINDS = ("queue", "tier", "answer", "outcome")


class _Answer(msgspec.Struct):
    template: str


class _Made(msgspec.Struct, gc=False):
    """What a dry-run needs of a recorded decision."""

    decided_at: datetime
    policy_version: str
    outcome: str
    tier: str
    facts: Facts
    queue: str | None = None
    answer: _Answer | None = None
    hold: str | None = None
    close: str | None = None


Move = tuple[str, str, str]
"""(kind, before, after)."""


@dataclass
class Found:
    """How much would change, by kind and by what becomes what, each with a few examples."""

    looked_at: int = 0
    changed: int = 0
    unread: int = 0
    """Rows that cannot be read: they hide none of the others."""
    kinds: Counter[str] = field(default_factory=Counter)
    moves: Counter[Move] = field(default_factory=Counter)
    examples: dict[Move, list[dict[str, str]]] = field(default_factory=dict)

    def add(self, other: "Found") -> None:
        self.looked_at += other.looked_at
        self.changed += other.changed
        self.unread += other.unread
        self.kinds.update(other.kinds)
        self.moves.update(other.moves)
        for move, more in other.examples.items():
            self.examples[move] = (self.examples.get(move, []) + more)[:EXAMPLES]

    def as_json(self) -> dict[str, Any]:
        """`looked_at`, `changed`, `unread`, `changes` by kind, and `moves`, the most frequent first."""
        return {
            "looked_at": self.looked_at,
            "changed": self.changed,
            "unread": self.unread,
            "changes": {kind: self.kinds[kind] for kind in KINDS},
            "moves": [
                {"kind": kind, "before": before, "after": after, "count": count,
                 "examples": self.examples[kind, before, after]}
                for (kind, before, after), count in self.moves.most_common()
            ],
        }  # fmt: skip


_interactions = msgspec.json.Decoder(Interaction)
_decisions = msgspec.json.Decoder(_Made)


@lru_cache(maxsize=2)
def _compiled(active: bytes, draft: bytes) -> tuple[Policy, Policy, Difference]:
    both = compile_policy(PolicySource.from_json(active)), compile_policy(PolicySource.from_json(draft))
    return *both, Difference(*both)


def compare(active: bytes, draft: bytes, rows: Sequence[recorded.Recorded]) -> Found:
    """Decide by both policies (sources as JSON) what is recorded: interactions and the decisions on them."""
    active_policy, draft_policy, difference = _compiled(active, draft)
    found = Found(looked_at=len(rows))
    for body, decision in rows:
        try:
            interaction, made = _interactions.decode(body), _decisions.decode(decision)
        except msgspec.MsgspecError:
            found.unread += 1
            continue
        if not difference.touches(interaction, made.facts, made.decided_at):
            continue
        # What the active policy decided is what it would decide: only what an older one decided is decided again.
        by_active = made.policy_version == active_policy.version
        before = _shown(made) if by_active else _outcome(active_policy, interaction, made)
        after = _outcome(draft_policy, interaction, made)
        changes = [(kind, before[kind], after[kind]) for kind in KINDS if before[kind] != after[kind]]
        found.changed += bool(changes)
        for move in changes:
            found.kinds[move[0]] += 1
            found.moves[move] += 1
            shown = found.examples.setdefault(move, [])
            if len(shown) < EXAMPLES:
                subject = interaction.subject or interaction.text[:80]
                shown.append({"id": interaction.id, "reference": interaction.reference, "subject": subject})
    return found


def compare_page(store: tuple[str, Path], active: bytes, draft: bytes, place: recorded.Place, size: int) -> Found:
    """As `compare`, with what the calling process reads itself of the store (URL, data folder). Raises
    StoreUnavailable."""
    runner, database = _opened(*store)

    async def work() -> Found:  # and not only the reading: a runner makes the repr of what it gives back
        page = await database.read(lambda conn: recorded.page(conn, place, size))
        return compare(active, draft, page.recorded)

    return runner.run(work())


@cache
def _opened(url: str, data_dir: Path) -> tuple[asyncio.Runner, Database]:
    """Once for a process; it ends with it."""
    runner, database = asyncio.Runner(), Database.at(url, data_dir, read_only=True)
    runner.run(database.start())
    return runner, database


def _outcome(policy: Policy, interaction: Interaction, made: _Made) -> dict[str, str]:
    return _shown(decide_safely(policy, interaction, made.facts, made.decided_at))


def _shown(decision: Any) -> dict[str, str]:
    return {
        "queue": decision.queue or "",
        "tier": decision.tier,
        "answer": decision.answer.template if decision.answer else "",
        "outcome": decision.hold or decision.close or decision.outcome,
    }
