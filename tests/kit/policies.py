"""Policies and interactions to decide on."""

from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any

from rules.check import check
from rules.load import SECTIONS, load_policy, read_yaml
from rules.model import PolicySource
from rules.parse import read_rules
from rules.policy import Policy, compile_policy
from schemas.errors import ConfigError
from schemas.interaction import Contact, Interaction
from tests.kit.contacts import NOW, email

EXAMPLE = Path(__file__).parents[2] / "examples" / "config"


@cache
def example_policy() -> Policy:
    tree = read_yaml(EXAMPLE / "switchboard.yaml", "switchboard.yaml")
    return compile_policy(load_policy(EXAMPLE, {key: tree[key] for key in SECTIONS if key in tree}))


def accepted(contact: Contact | None = None, **more: Any) -> Interaction:
    """The contact (default: a mail) as if it had been accepted."""
    contact = contact or email()
    values: dict[str, Any] = {
        "id": "i1",
        "conversation_id": "c1",
        "reference": "SB-1042",
        "seq": 1,
        "accepted_at": contact.received_at,
        "customer_id": "k1",
        "policy_version": "p-test",
        "digest": "d1",
    }
    return Interaction(**{**contact.model_dump(), **values, **more})


def problems_in(rules: str, **source: Any) -> list[str]:
    """Everything that reading and checking these rules finds."""
    read = read_rules(dedent(rules), "rules/a.yaml")
    policy = PolicySource(rules=tuple(read.rules), **source)
    return [str(problem) for problem in (*read.problems, *check(policy, read.unsure))]


def policy(rules: str = "", **source: Any) -> Policy:
    """A policy of these rules; they have to be right."""
    read = read_rules(dedent(rules), "rules/a.yaml")
    assert not read.problems, read.problems
    return compile_policy(checked(PolicySource(rules=tuple(read.rules), **source)))


def checked(source: PolicySource) -> PolicySource:
    """The same. Raises ConfigError with everything that is wrong with it, as reading it from files would."""
    if problems := check(source):
        raise ConfigError([str(problem) for problem in problems])
    return source


__all__ = ["EXAMPLE", "NOW", "accepted", "example_policy", "policy", "problems_in"]
