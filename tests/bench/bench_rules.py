"""What a decision costs as rules grow from 10 to 10,000, beside the loops that people write by hand.

Full decisions with trace (rules, priority, deadline), 600 characters in eight languages, about one rule a message at
every size, one rule in ten without words to look for, one in twenty negated. `naive` tries every rule with compiled
expressions and `in`; `bucketed` the same, by channel and with the cheap conditions first. Both get the folded text for
nothing and write no trace. Interleaved repeats, medians; all three agree on which rules fire. So do two general
engines, `rule-engine` and CEL, as loops over all rules. And a draft is run over 100,000 recorded interactions.
"""

import random
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from router.core.triage import decide
from rules.words import normal
from schemas.fast import as_struct
from schemas.interaction import Interaction
from schemas.structs import Facts
from tests.bench import recorded, rule_engines, traffic
from tests.kit.contacts import NOW

SIZES = (10, 100, 1_000, 10_000)
MESSAGES = {10: 2_000, 100: 2_000, 1_000: 2_000, 10_000: 1_000}
BY_HAND = {10: 500, 100: 500, 1_000: 200, 10_000: 40}
BY_PEERS = {10: 200, 100: 100, 1_000: 20, 10_000: 5}
REPEATS = 5

Message = dict[str, Any]
Test = Callable[[Message], bool]


def message_of(interaction: Interaction, facts: Facts, *, is_open: bool) -> Message:
    """What the loops by hand look at, made ready for them."""
    content = interaction.content
    return {
        "occasion": interaction.occasion,
        "channel": interaction.channel,
        "customer_tier": facts.customer_tier,
        "verdict": interaction.sender.verdict,
        "language": interaction.language,
        "business_hours": "open" if is_open else "closed",
        "subject": interaction.subject,
        "message": f"{normal(interaction.subject)}\n{normal(interaction.text)}",
        "text": normal(interaction.text),
        "domain": interaction.sender.address.rpartition("@")[2],
        "attributes": interaction.attributes,
        "headers": {name.lower() for name, _ in content.headers} if content.channel == "email" else frozenset(),
    }


def test_of(field: str, wanted: Any) -> tuple[int, Test]:
    """One condition of `traffic.rule` as somebody would write it by hand, with what it costs, roughly."""
    if field == "not":
        return 0, lambda m, no=wanted["channel"]: m["channel"] != no
    if field in ("message", "text"):
        expression = re.compile("|".join(rf"(?<!\w){re.escape(normal(word))}(?!\w)" for word in wanted["contains"]))
        words = [normal(word) for word in wanted["contains"]]
        return 3, lambda m: any(word in m[field] for word in words) and expression.search(m[field]) is not None
    if field == "subject":
        expression = re.compile(wanted["regex"])
        return 2, lambda m: expression.search(m["subject"]) is not None
    if field == "sender":
        return 1, lambda m, domain=wanted["domain"]: m["domain"] == domain
    if field == "attribute":
        return 1, lambda m: m["attributes"].get(wanted["name"]) == wanted["equals"]
    if field == "header":
        return 1, lambda m, name=wanted["name"].lower(): name in m["headers"]
    values = frozenset(wanted if isinstance(wanted, list) else [wanted])
    return 0, lambda m: m[field] in values


def tests_of(rule: dict[str, Any]) -> list[tuple[int, Test]]:
    """All conditions of a rule. An answer is for first messages."""
    only_first: dict[str, Any] = {"occasion": "first"} if "answer" in rule else {}
    return [test_of(*item) for item in (only_first | rule["when"]).items()]


class Naive:
    """Every rule, condition after condition as written."""

    def __init__(self, rules: Sequence[dict[str, Any]]) -> None:
        self._rules = [(rule["name"], [test for _, test in tests_of(rule)]) for rule in rules]

    def fired(self, message: Message) -> list[str]:
        return [name for name, tests in self._rules if all(test(message) for test in tests)]


class Bucketed:
    """The rules of a channel only, the cheap conditions first."""

    def __init__(self, rules: Sequence[dict[str, Any]]) -> None:
        self._buckets: dict[str, list[tuple[str, list[Test]]]] = defaultdict(list)
        for rule in rules:
            channels = rule["when"].get("channel", ["email", "chat", "web_form", "phone_log"])
            costed = sorted(tests_of(rule), key=lambda pair: pair[0])
            for channel in [channels] if isinstance(channels, str) else channels:
                self._buckets[channel].append((rule["name"], [test for _, test in costed]))

    def fired(self, message: Message) -> list[str]:
        rules = self._buckets[message["channel"]]
        return [name for name, tests in rules if all(test(message) for test in tests)]


def timed(work: Callable[[Any], Any], items: Sequence[Any]) -> list[float]:
    """µs of each call."""
    clock, found = time.perf_counter, []
    for item in items:
        begun = clock()
        work(item)
        found.append((clock() - begun) * 1e6)
    return found


def measure(size: int) -> dict[str, float]:
    rng = random.Random(7)
    written = [traffic.rule(number, rng) for number in range(size)]
    policy = traffic.policy(size)
    made = list(traffic.interactions(MESSAGES[size], size, policy.version))
    facts = [Facts(customer_tier=traffic.TIERS[n % 4], known=True) for n in range(len(made))]
    pairs = list(zip(map(as_struct, made), facts, strict=True))
    is_open = policy.calendar_of(None).is_open(NOW)
    messages = [message_of(i, f, is_open=is_open) for i, f in zip(made, facts, strict=True)][: BY_HAND[size]]
    naive, bucketed = Naive(written), Bucketed(written)
    hits = 0
    for (interaction, known), message in zip(pairs, messages, strict=False):
        decision = decide(policy, interaction, known, NOW)
        ours = sorted(rule.name for rule in decision.rules if rule.result == "fired")
        assert ours == sorted(naive.fired(message)) == sorted(bucketed.fired(message))
        hits += len(ours)
    costs: dict[str, list[float]] = defaultdict(list)
    for _ in range(REPEATS):
        each = timed(lambda pair: decide(policy, *pair, NOW), pairs)
        costs["ours"].append(statistics.mean(each))
        costs["p99"].append(sorted(each)[int(len(each) * 0.99)])
        costs["naive"].append(statistics.mean(timed(naive.fired, messages)))
        costs["bucketed"].append(statistics.mean(timed(bucketed.fired, messages)))
    few = messages[: BY_PEERS[size]]
    expected = [naive.fired(message) for message in few]
    for name, peer in (("cel", rule_engines.cel_costs), ("rule-engine", rule_engines.rule_engine_costs)):
        cost, fired = peer(written, [rule_engines.plain(message) for message in few])
        assert fired == expected, name
        costs[name].append(cost)
    return {name: statistics.median(values) for name, values in costs.items()} | {"hits": hits / len(messages)}


def main() -> None:
    found = {size: measure(size) for size in SIZES}
    table = Table(title="µs per interaction", title_justify="left")
    columns = ("ours", "p99", "naive", "bucketed", "cel", "rule-engine")
    for column in ("rules", *columns, "rules fired"):
        table.add_column(column, justify="right")
    for size, costs in found.items():
        table.add_row(f"{size:,}", *(f"{costs[name]:,.1f}" for name in columns), f"{costs['hits']:.2f}")
    Console().print(table)
    most, least = found[SIZES[-1]], found[SIZES[0]]
    figures = {
        "cost_10000_vs_10": round(most["ours"] / least["ours"], 2),
        "cost_10_vs_naive": round(least["ours"] / least["naive"], 2),
        "vs_naive_at_10000": round(most["naive"] / most["ours"], 1),
        "vs_bucketed_at_10000": round(most["bucketed"] / most["ours"], 1),
        "vs_cel_at_10000": round(most["cel"] / most["ours"], 1),
        "vs_rule_engine_at_10000": round(most["rule-engine"] / most["ours"], 1),
        **recorded.figures(),
    } | {f"us_at_{size}": round(costs["ours"], 1) for size, costs in found.items()}
    target = Path("build/bench/rules.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(orjson.dumps({"figures": figures}, option=orjson.OPT_INDENT_2))
    Console().print(figures)


if __name__ == "__main__":
    main()
