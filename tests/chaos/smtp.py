"""`make chaos NAME=smtp`: two senders on one ledger, and a mail server that fails by chance at every verb. One of the
senders stands still in the middle for so long that the other takes it for gone, and then goes on.

Afterwards: every reply has an end; what is `sent` came once, what is `failed` not at all, nothing came twice; and
`unknown` are exactly those whose dot got no clear answer and those that were taken from the one that stood still. Time
between attempts is made short, nothing else is.
"""

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.engine import Connection

from channels.email.sending import sender, transfer
from channels.email.settings import EmailSettings
from channels.presence import Presence
from schemas.reply import Reply
from schemas.states import DeliveryState
from store import deliveries, replies
from store.tables import deliveries as deliveries_table
from tests.chaos.second_sender import SecondSender
from tests.kit.edge import Edge, edge
from tests.kit.events import examples
from tests.kit.smtp_sink import SmtpSink

D = DeliveryState
VERBS = ("MAIL", "RCPT", "DATA", "dot", "stored")
FAULTS = ("451 4.3.0 later", "550 5.7.1 no", "reset", "silent", "nonsense")
PATIENCE_S = 3.0
SHARE = 0.2
CONNECTIONS = 20
SENDS_PER_PAUSE = 1000
ENOUGH = 100
"""Of so many some are in hand at any moment."""
STORE = "sqlite:///edge.db"
ORPHANED = "the sender stopped in the middle of sending"
NOT_OURS = "421 4.3.2 closing"
"""At the relay's own verbs (connect, EHLO, MAIL) a 5xx stops the account for a minute: one test has that, not this."""


class ByChance(dict[str, str]):
    """What the sink's `faults` are: drawn anew for each mail of each session."""

    def __init__(self, sink: SmtpSink, seed: int) -> None:
        super().__init__()
        self._sink = sink
        self._random = random.Random(seed)
        self._plans: dict[Any, tuple[str, str]] = {}
        self.ambiguous: set[str] = set()
        """Recipients whose dot got no clear answer."""
        self.drawn: Counter[str] = Counter()

    def get(self, verb: str, usual: Any = None) -> Any:
        task = asyncio.current_task()
        if verb in ("connect", "EHLO", "NOOP"):
            chance = self._random.random()
            fault = "reset" if chance < SHARE / 20 else NOT_OURS if chance < SHARE / 10 else usual
            if fault != usual:
                self.drawn[f"{verb} {fault.split()[0]}"] += 1
            return fault
        if verb == "MAIL":
            self._plans.pop(task, None)
            if self._random.random() < SHARE:
                kind = self._random.choices(FAULTS, (4, 4, 4, 1, 2))[0]
                self._plans[task] = (self._random.choice(VERBS), kind)
        at, fault = self._plans.get(task, ("", ""))
        if at != verb:
            return usual
        if verb == "MAIL" and fault.startswith("5"):
            fault = NOT_OURS
        if verb == "stored" and fault[0] in "45":
            return usual  # a server that keeps a mail and says that it does not is beyond our help
        self.drawn[f"{verb} {fault.split()[0]}"] += 1
        if verb in ("dot", "stored") and fault in ("reset", "silent", "nonsense"):
            assert task is not None
            self.ambiguous.add(self._sink.talking_of[task])
        return fault

    def __contains__(self, verb: object) -> bool:
        return self._plans.get(asyncio.current_task(), ("", ""))[0] == verb


@dataclass
class Result:
    sent: int = 0
    failed: int = 0
    unknown: int = 0
    pauses: int = 0
    taken_away: int = 0
    """Attempts of the one that stood still."""
    faults: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)


async def run(sends: int, seed: int, folder: Path) -> Result:
    patched = {
        (transfer, "COMMAND_TIMEOUT_S"): PATIENCE_S,
        (transfer, "DOT_TIMEOUT_S"): PATIENCE_S,
        (sender, "next_attempt"): lambda attempt, created, now, jitter: now + timedelta(milliseconds=50),
    }
    with contextlib.ExitStack() as stack:
        for (module, name), value in patched.items():
            stack.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, value)
        async with SmtpSink() as sink:
            faults = ByChance(sink, seed)
            sink.faults = faults
            smtp = {"host": "127.0.0.1", "port": sink.port, "tls": "none", "connections": CONNECTIONS}
            account = {"address": "help@shop.example", "smtp": smtp}
            async with edge(folder, {"email": {"support": account}}, store_url=STORE) as site:
                first, _ = site.parts["email"].outbound
                assert isinstance(first, Presence)
                settings = {"support": EmailSettings.model_validate(account)}
                async with SecondSender(site.context, STORE, folder, settings) as second, asyncio.TaskGroup() as both:
                    pauses = both.create_task(_pause(site, first, second, sends), name="pauses")
                    rows = both.create_task(_send(site, sends), name="sends")
            return _check(rows.result(), sink, faults, pauses.result())


async def _pause(site: Edge, first: Presence, second: SecondSender, sends: int) -> int:
    """Let the second stand still with mails in hand, evenly over the run, each time until the first has taken them for
    abandoned. Returns how often."""
    wanted = max(1, sends // SENDS_PER_PAUSE)
    for number in range(wanted):
        while await site.database.read(_ended) < sends * (2 * number + 1) // (2 * wanted):
            await asyncio.sleep(0.02)
        while not await _stands_with_mails(site, second):
            second.go_on()
            if await site.database.read(_ended) == sends:
                return number
            await asyncio.sleep(0.02)
        while await site.database.read(lambda c: _in_hand(c, second.owner)):
            await asyncio.sleep(0.1)
            await first._look_after(alone=False)  # as it does by itself, only more often
        second.go_on()
    return wanted


async def _stands_with_mails(site: Edge, second: SecondSender) -> bool:
    await second.stand_still()
    return await site.database.read(lambda c: _in_hand(c, second.owner)) > 0


def _in_hand(conn: Connection, owner: str) -> int:
    states = deliveries_table.c.state == D.ATTEMPTING.value
    return len(list(conn.scalars(select(deliveries_table.c.reply_id).where(states, deliveries_table.c.owner == owner))))


def _ended(conn: Connection) -> int:
    return deliveries.count(conn, [D.SENT, D.FAILED, D.UNKNOWN])


async def _send(site: Edge, sends: int) -> list[deliveries.Row]:
    model = examples()["reply"]
    assert isinstance(model, Reply)
    out = site.context.store.outbox
    for start in range(0, sends, 500):
        now = datetime.now(UTC)
        made = [
            model.model_copy(
                update={
                    "id": f"reply-{n}",
                    "conversation_id": f"00000000-0000-4000-8000-{n:012d}",
                    "recipient": model.recipient.model_copy(update={"address": f"c{n}@example{n % 200}.org"}),
                    "created_at": now,
                }
            )
            for n in range(start, min(start + 500, sends))
        ]
        await site.database.write(lambda c, made=made: replies.request(c, out, made))  # type: ignore[misc]
        await site.database.write(lambda c, made=made, now=now: deliveries.copy_in(c, made, now))  # type: ignore[misc]
        while await site.database.read(lambda c: deliveries.count(c, [D.PENDING, D.ATTEMPTING, D.DEFERRED])):
            await asyncio.sleep(0.1)
    return await site.database.read(lambda c: deliveries.listing(c, None, sends + 1))


def _check(rows: list[deliveries.Row], sink: SmtpSink, faults: ByChance, pauses: int) -> Result:
    came = Counter(recipients[0] for _, recipients, _ in sink.mails)
    by_state = {state: {row.recipient for row in rows if row.state is state} for state in D}
    sent, failed, unknown = (len(by_state[state]) for state in (D.SENT, D.FAILED, D.UNKNOWN))
    taken = {row.recipient for row in rows if row.detail == ORPHANED}
    result = Result(sent, failed, unknown, pauses, len(taken), dict(faults.drawn))
    bad = {
        "came twice": {who for who, n in came.items() if n > 1},
        "sent, but never came": by_state[D.SENT] - came.keys(),
        "failed, but came": by_state[D.FAILED] & came.keys(),
        "unknown without need": by_state[D.UNKNOWN] - faults.ambiguous - taken,
        "ambiguous, but not unknown": faults.ambiguous - by_state[D.UNKNOWN],
        "without an end": {row.recipient for row in rows} - by_state[D.SENT] - by_state[D.FAILED] - by_state[D.UNKNOWN],
    }
    result.violations = [f"{what}: {who}" for what, people in bad.items() for who in sorted(people)]
    if not taken and len(rows) >= ENOUGH:
        result.violations.append("nothing was taken from the one that stood still: that was not tried")
    return result


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.smtp")
    parser.add_argument("--seed", default="", help="replays the faults; by chance when there is none")
    parser.add_argument("--sends", type=int, default=10_000)
    given = parser.parse_args()
    seed = int(given.seed) if given.seed else random.SystemRandom().randrange(10**6)
    print(f"seed {seed}: SEED={seed} make chaos NAME=smtp N={given.sends}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(run(given.sends, seed, Path(folder)))
    target = Path("build/chaos/smtp.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(orjson.dumps({"seed": seed, "sends": given.sends, **vars(result)}, option=orjson.OPT_INDENT_2))
    for violation in result.violations[:20]:
        print(f"✗ {violation}")
    print(f"{sum(result.faults.values())} faults: {result.faults}")
    print(
        f"seed {seed}: {result.sent} sent, {result.failed} failed, {result.unknown} unknown "
        f"({result.taken_away} of them taken from one that stood still, {result.pauses} times), "
        f"{len(result.violations)} violations",
        flush=True,
    )
    return 1 if result.violations else 0


if __name__ == "__main__":
    sys.exit(main())
