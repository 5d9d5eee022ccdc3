"""Rules as people read them: conditions and actions in words."""

from typing import Any

from rules.model import All, AnyOf, Condition, Expression, Leaf, Not, Rule
from schemas.durations import format_duration

Node = dict[str, Any]
"""`text`, and the `parts` that it introduces."""

_FIELDS = {
    "message": "the subject or the text", "text": "the text", "new_text": "the new text", "subject": "the subject",
    "sender": "the sender's address", "sender_name": "the sender's name", "sender_domain": "the sender's domain",
    "channel": "the channel", "customer_tier": "the customer's tier",
    "customer_segment": "the customer's segment", "customer_tags": "the customer's tags",
    "agreement": "the customer's agreement", "last_agent": "an agent of before", "language": "the language",
    "queue": "the queue so far", "tier": "the tier so far", "tags": "the tags so far", "occasion": "the message",
    "conversation_state": "the conversation", "open_items": "the customer's open work items",
    "business_hours": "the shop", "weekday": "the day", "time": "the time of day", "age": "its age", "size": "its size",
}  # fmt: skip
_FLAGS = {
    "automatic": ("it was written by a machine", "it was written by a person"),
    "known": ("the customer is known", "the customer is new"),
    "holiday": ("it is a public holiday", "it is no public holiday"),
}
_VERDICTS = {
    "verified": "the sender is proved", "failed": "the sender failed authentication",
    "unknown": "nothing is proved of the sender",
}  # fmt: skip
_OPERATORS = {
    "contains": "has", "contains_all": "has all of", "starts_with": "begins with", "ends_with": "ends with",
    "equals": "is", "in": "is", "regex": "fits the pattern", "domain": "is of", "cidr": "is in",
    "less_than": "is less than", "at_most": "is at most", "more_than": "is more than", "at_least": "is at least",
    "between": "is between",
}  # fmt: skip
_OCCASIONS = {"first": "the first message", "follow_up": "a further message", "reopened": "one that reopens"}
_SHOWN = 6
"""So many words of a list are named."""


def in_words(rule: Rule) -> dict[str, Any]:
    """`when` (a node, or None for always), `on` (words, or "") and `then` (a list of sentences)."""
    on = "" if len(rule.on) == len(_OCCASIONS) else "only for " + " or ".join(_OCCASIONS[each] for each in rule.on)
    return {"when": condition_in_words(rule.when) if rule.when is not None else None, "on": on, "then": _then(rule)}


def condition_in_words(condition: Condition) -> Node:
    """A tree of words."""
    match condition:
        case Leaf():
            return {"text": _leaf(condition), "parts": []}
        case All(all=parts):
            return _group("all of these hold", parts)
        case AnyOf(any=parts):
            return _group("one of these holds", parts)
        case Not(negated=part):
            inner = condition_in_words(part)
            return {"text": f"not: {inner['text']}", "parts": inner["parts"]}
        case Expression(cel=source):
            return {"text": f"the expression {source}", "parts": []}


def _group(text: str, parts: tuple[Condition, ...]) -> Node:
    inner = [condition_in_words(part) for part in parts]
    return inner[0] if len(inner) == 1 else {"text": text, "parts": inner}


def _leaf(leaf: Leaf) -> str:
    if leaf.field in _FLAGS:
        yes, no = _FLAGS[leaf.field]
        return yes if leaf.value is True else no
    name = _FIELDS.get(leaf.field, leaf.field.replace("_", " "))
    if leaf.name:
        name = f"contacts in {leaf.name} days" if leaf.field == "contacts" else f"{name} {leaf.name}"
    if leaf.operator == "exists":
        return f"{name} is there" if leaf.value else f"{name} is not there"
    values = leaf.texts
    if leaf.field == "verdict":
        return _listed([_VERDICTS.get(value, value) for value in values], "")
    quoted = leaf.operator in ("contains", "contains_all", "starts_with", "ends_with", "regex")
    words = [f"“{value}”" if quoted else value.replace("_", " ") for value in values]
    more = f" or {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    part = " (inside of words, too)" if leaf.match == "part" else ""
    return f"{name} {_OPERATORS.get(leaf.operator, leaf.operator)} {_listed(words[:_SHOWN], more)}{part}"


def _listed(words: list[str], more: str) -> str:
    if more or len(words) < 2:
        return ", ".join(words) + more
    return ", ".join(words[:-1]) + f" or {words[-1]}"


def _then(rule: Rule) -> list[str]:
    found = []
    if rule.hold is not None:
        found.append(f"hold it as {rule.hold}, for a person to look at")
    if rule.close is not None:
        found.append(f"close it: {rule.close.replace('_', ' ')}")
    if rule.answer is not None:
        found.append(f"answer with the text “{rule.answer}”")
    if rule.queue is not None:
        found.append(f"put it into the queue {rule.queue}")
    if rule.tier is not None:
        found.append(f"make it {rule.tier}")
    if rule.target is not None:
        found.append(f"promise an answer within {format_duration(rule.target)}")
    if rule.affinity is not None:
        found.append("offer it to the agent of before first" if rule.affinity else "offer it to anybody")
    for what, values in (("ask for the skill", rule.skills), ("tag it", rule.tags), ("tell", rule.notify),
                         ("call the webhook", rule.webhook)):  # fmt: skip
        if values:
            found.append(f"{what} {', '.join(values)}")
    found += [f"note {name} = {value}" for name, value in rule.set.items()]
    if rule.stop:
        found.append("look at no further rule")
    return found
