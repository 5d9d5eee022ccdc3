"""A skill is the same word for the rule that asks for it, the queue that needs it and the agent who has it."""

from rules.engine import evaluate
from schemas.decision import Facts
from store import agents
from store.database import Database
from tests.kit.contacts import NOW
from tests.kit.policies import accepted, policy


async def test_rules_queues_and_agents_mean_the_same_skill(database: Database) -> None:
    chosen = policy(
        "- {name: r, tags: t, skills: [German, ' FRANÇAIS', german]}", queues={"general": {"skills": {"GERMAN": 3}}}
    )
    asked = evaluate(chosen, accepted(), Facts(), NOW).skills
    await database.write(lambda conn: agents.add(conn, "kim", skills=["german", "Français "], at=NOW))
    kim = await database.read(lambda conn: agents.get(conn, "kim"))
    assert asked == kim.skills == ("german", "francais")
    assert list(chosen.source.queues["general"].skills) == ["german"]
