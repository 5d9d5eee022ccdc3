"""The one place where the desk asks: who is this, and may they touch that?"""

from fastapi import Request

from runtime.http.auth import Principal, TokenCheck, require
from runtime.http.problem import Problem
from schemas.interaction import Interaction
from schemas.work_item import WorkItem
from store import agents
from store.agents import Agent
from store.store import Store


def token_check(store: Store) -> TokenCheck:
    """Token → principal of kind `agent`, or None. Raises StoreUnavailable when it cannot be told."""

    async def check(token: str) -> Principal | None:
        agent = await store.database.read(lambda conn: agents.by_token(conn, token))
        if agent is None:
            return None
        return Principal("agent", agent.name, {"agent": agent, "queues": agent.queues})

    return check


def agent_of(principal: Principal) -> Agent:
    agent = principal.claims["agent"]
    assert isinstance(agent, Agent)
    return agent


class SignedIn:
    """A FastAPI dependency: the signed-in agent, or 401."""

    def __init__(self, store: Store) -> None:
        self._require = require(token_check(store))

    async def __call__(self, request: Request) -> Agent:
        return agent_of(await self._require(request))


def may_see(agent: Agent, item: WorkItem) -> bool:
    """An agent sees the items of the queues they serve, and what they hold."""
    return not agent.queues or item.queue in agent.queues or item.agent == agent.name


def may_see_held(agent: Agent, interaction: Interaction) -> bool:
    """What is held is in no queue yet; it may come to the one of its account."""
    return not agent.queues or interaction.queue in agent.queues


def checked(agent: Agent, item: WorkItem) -> WorkItem:
    """The item, or 404: who may not see a thing does not learn that it exists."""
    if not may_see(agent, item):
        raise Problem(404, "There is no such work item.", code="not-found")
    return item
