"""General rule engines as a loop over the same rules: `rule-engine` (in an environment of its own) and CEL.

Neither knows whole words, so a rule on words is a search for one of them and then a regular expression around it.
Both get the folded text for nothing, as the loops by hand do.
"""

import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cel

from rules.words import normal
from tests.bench.environments import environment

PINS = ("rule-engine==5.1.0",)
PEER = Path(__file__).parent / "peers" / "rule_engine_loop.py"

Message = dict[str, Any]


def plain(message: Message) -> Message:
    """The message as both engines take it: no sets, no nulls."""
    values = {name: "" if value is None else value for name, value in message.items()}
    return {**values, "headers": sorted(message["headers"]), "attributes": dict(message["attributes"])}


def expression(rule: dict[str, Any], *, search: str) -> str:
    """A rule's conditions. `search`: how the language writes a search, with {text} and {pattern}."""
    only_first: dict[str, Any] = {"occasion": "first"} if "answer" in rule else {}
    both = "&&" if search.startswith("{text}.") else "and"
    return f" {both} ".join(_condition(*item, search) for item in (only_first | rule["when"]).items())


def _condition(field: str, wanted: Any, search: str) -> str:
    either = "||" if search.startswith("{text}.") else "or"
    if field == "not":
        return f"channel != {json.dumps(wanted['channel'])}"
    if field in ("message", "text"):
        words = [normal(word) for word in wanted["contains"]]
        contains = "{0}.contains({1})" if either == "||" else "{1} in {0}"
        first = f" {either} ".join(contains.format(field, _quoted(word)) for word in words)
        pattern = r"(^|\W)(" + "|".join(words) + r")(\W|$)"
        both = "&&" if either == "||" else "and"
        return f"(({first}) {both} {search.format(text=field, pattern=_quoted(pattern))})"
    if field == "subject":
        return search.format(text="subject", pattern=_quoted(wanted["regex"]))
    if field == "sender":
        return f"domain == {_quoted(wanted['domain'])}"
    if field == "attribute":
        return f"attributes[{_quoted(wanted['name'])}] == {_quoted(wanted['equals'])}"
    if field == "header":
        return f"{_quoted(wanted['name'].lower())} in headers"
    values = wanted if isinstance(wanted, list) else [wanted]
    return f"{field} in [{', '.join(map(_quoted, values))}]"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


class Cel:
    """The engine that our own `when: "<expression>"` uses, one expression a rule."""

    def __init__(self, rules: Sequence[dict[str, Any]]) -> None:
        search = "{text}.matches({pattern})"
        self._rules = [(rule["name"], cel.compile(expression(rule, search=search))) for rule in rules]

    def fired(self, message: Message) -> list[str]:
        context = cel.Context(variables=message)
        return [name for name, program in self._rules if program.execute(context)]


def cel_costs(rules: Sequence[dict[str, Any]], messages: Sequence[Message]) -> tuple[float, list[list[str]]]:
    """(µs a message, which rules fired on each)."""
    engine = Cel(rules)
    begun = time.perf_counter()
    fired = [engine.fired(message) for message in messages]
    return (time.perf_counter() - begun) / len(messages) * 1e6, fired


def rule_engine_costs(rules: Sequence[dict[str, Any]], messages: Sequence[Message]) -> tuple[float, list[list[str]]]:
    """As `cel_costs`, in a process with the peer's own packages."""
    named = [(rule["name"], expression(rule, search="({text} =~~ {pattern})")) for rule in rules]
    given = json.dumps({"rules": named, "messages": messages})
    argv = [str(environment(PINS)), str(PEER)]
    done = subprocess.run(argv, input=given, capture_output=True, text=True, timeout=600, check=True)
    answer = json.loads(done.stdout)
    return answer["us"], answer["fired"]
