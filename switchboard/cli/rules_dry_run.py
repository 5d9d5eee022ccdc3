"""A draft over what was recorded: what would be decided otherwise, with the facts of the moment. Nothing is written."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing import get_context
from typing import Any

import msgspec

from router.core.triage import decide_safely
from rules.model import PolicySource
from rules.policy import Policy, compile_policy
from schemas.structs import Facts, Interaction
from store.recorded import Recorded

BATCH = 2000
EXAMPLES = 3
KINDS = ("queue", "tier", "answer", "outcome")


class _Answer(msgspec.Struct):
    template: str


class _Made(msgspec.Struct):
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


@dataclass
class Found:
    """How much would change, by kind and by what becomes what, each with a few examples."""

    looked_at: int = 0
    changed: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    moves: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(kind, before, after)."""
    examples: dict[tuple[str, str, str], list[dict[str, str]]] = field(default_factory=dict)

    def add(self, other: "Found") -> None:
        self.looked_at += other.looked_at
        self.changed += other.changed
        self.kinds.update(other.kinds)
        self.moves.update(other.moves)
        for move, more in other.examples.items():
            self.examples[move] = (self.examples.get(move, []) + more)[:EXAMPLES]


_interactions = msgspec.json.Decoder(Interaction)
_decisions = msgspec.json.Decoder(_Made)
_both: tuple[Policy, Policy] | None = None


def prepare(active: bytes, draft: bytes) -> None:
    """Compile both policies, once per process."""
    global _both
    _both = compile_policy(PolicySource.from_json(active)), compile_policy(PolicySource.from_json(draft))


def compare(batch: list[Recorded]) -> Found:
    """Decide a batch by both policies. `prepare` comes first."""
    assert _both is not None
    active, draft = _both
    found = Found(looked_at=len(batch))
    for body, made in batch:
        interaction, recorded = _interactions.decode(body), _decisions.decode(made)
        # What the active policy decided is what it would decide: only what an older one decided is decided again.
        by_active = recorded.policy_version == active.version
        before = _shown(recorded) if by_active else _outcome(active, interaction, recorded)
        after = _outcome(draft, interaction, recorded)
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


def _outcome(policy: Policy, interaction: Any, recorded: _Made) -> dict[str, str]:
    return _shown(decide_safely(policy, interaction, recorded.facts, recorded.decided_at))


def _shown(decision: Any) -> dict[str, str]:
    return {
        "queue": decision.queue or "",
        "tier": decision.tier,
        "answer": decision.answer.template if decision.answer else "",
        "outcome": decision.hold or decision.close or decision.outcome,
    }


def run(
    active: PolicySource, draft: PolicySource, batches: Iterable[list[Recorded]], *, workers: int,
    progress: Callable[[int], None] = lambda done: None,
) -> Found:  # fmt: skip
    """Compare all batches, in `workers` processes where there is more than one batch."""
    both, total = (active.to_json(), draft.to_json()), Found()
    iterator = iter(batches)
    first, second = next(iterator, None), next(iterator, None)
    if first is None:
        return total
    if second is None or workers < 2:
        prepare(*both)
        for batch in _chain([first, second], iterator):
            total.add(compare(batch))
            progress(total.looked_at)
        return total
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=prepare, initargs=both) as pool:
        waiting: list[Future[Found]] = []
        for batch in _chain([first, second], iterator):
            waiting.append(pool.submit(compare, batch))
            if len(waiting) > workers * 2:  # read no further ahead than is decided
                total.add(waiting.pop(0).result())
                progress(total.looked_at)
        for each in waiting:
            total.add(each.result())
            progress(total.looked_at)
    return total


def _chain(known: list[list[Recorded] | None], rest: Iterator[list[Recorded]]) -> Iterator[list[Recorded]]:
    yield from (batch for batch in known if batch is not None)
    yield from rest
