"""What the rules page asks for: the policy in words, hits and examples, a text tried, a draft over what was recorded.

Nothing here changes anything. Like the desk, nobody is shown messages of queues that are not theirs.
"""

import asyncio
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import Field, ValidationError
from sqlalchemy import select
from sqlalchemy.engine import Connection

from router.core.triage import decide_safely
from router.policies import PolicyBook
from rules.cases import Given, contact_of
from rules.check import check
from rules.explain import describe
from rules.model import PolicySource
from rules.parse import read_rules
from rules.policy import Policy
from rules.sentences import in_words
from runtime.clock import Clock
from runtime.http.auth import Principal, TokenCheck, require
from runtime.http.problem import Problem
from schemas import structs
from schemas.base import Model
from schemas.errors import NotFound
from schemas.fast import as_model, as_struct
from schemas.interaction import Channel, Interaction, Verdict
from store import decisions, ledger, policies, recorded, rule_hits
from store.database import Database
from store.tables import work_items
from switchboard.cli.rules_inputs import as_if_accepted
from switchboard.dry_run import Found, compare

SIX_DAYS = timedelta(days=6)
"""Hits are counted by whole days: today and six days before."""
SUBJECT_CHARS = 120
DRAFT_CHARS = 128 * 1024
"""A draft on the page shares a process with the rest; a larger one is for `rules dry-run`."""
DRAFT_PAGE, DRAFT_PAGES = 250, 40
"""A draft is run over the first 10,000 interactions of its time: the page is no place for more."""


class Try(Model):
    """A text as if it had just arrived."""

    channel: Channel = "email"
    subject: str = Field(default="", max_length=998)
    text: str = Field(default="", max_length=64 * 1024)
    language: str | None = Field(default=None, max_length=16)
    verdict: Verdict = "verified"
    occasion: Literal["first", "follow_up", "reopened"] = "first"
    customer_tier: str | None = Field(default=None, max_length=64)
    agreement: str | None = Field(default=None, max_length=64)


class Draft(Model):
    """Rules that stand for those of the active policy."""

    rules: str = Field(max_length=DRAFT_CHARS, description="A rules file: YAML.")
    days: int = Field(default=7, ge=1, le=90)


def rules_router(database: Database, clock: Clock, token: TokenCheck) -> APIRouter:
    router = APIRouter(prefix="/api/ops/rules", tags=["rules"])
    book, one_at_a_time = PolicyBook(database), asyncio.Lock()
    Signed = Annotated[Principal, Depends(require(token))]  # noqa: N806 - a type

    async def active() -> Policy:
        version = await database.read(policies.active_version)
        return (await book.get([version]))[version]

    @router.get("", summary="The active policy in words, with the hits of the last seven days")
    async def policy_(principal: Signed) -> dict[str, Any]:
        policy, queues, since = await active(), _queues(principal), clock.now() - SIX_DAYS

        def work(conn: Connection) -> tuple[rule_hits.Hits, dict[str, dict[str, str]]]:
            hits = rule_hits.hits(conn, since, queues)
            wanted = {key for keys in hits.examples.values() for key in keys}
            return hits, {key: _named(each) for key, each in ledger.load(conn, wanted).items()}

        hits, examples = await database.read(work)
        return {
            "version": policy.version,
            "looked_at": hits.looked_at,
            "rules": [
                {
                    "name": each.name,
                    "place": f"{each.rule.file}:{each.rule.line}" if each.rule.file else "",
                    **in_words(each.rule),
                    "hits": hits.by_rule[each.name],
                    "examples": [examples[key] for key in hits.examples.get(each.name, ()) if key in examples],
                }
                for each in policy.rules.rules
            ],
        }

    @router.get("/interactions/{key}", summary="Why one interaction was decided so")
    async def interaction_(principal: Signed, key: str) -> dict[str, Any]:
        queues, policy = _queues(principal), await active()

        def work(conn: Connection) -> tuple[Interaction, list[str]]:
            found = ledger.load(conn, [key]).get(key)
            if found is None or not _may_see(conn, found.conversation_id, queues):
                raise NotFound(f"there is no interaction {key}")
            made = decisions.latest(conn, [key])
            if key not in made:
                return found, ["not decided yet"]
            decision, _ = made[key]
            return found, describe(decision, policy.source)

        found, why = await database.read(work)
        return {**_named(found), "text": found.text[:4000], "why": why}

    @router.post("/try", summary="What the active policy would decide on a text")
    async def try_(_: Signed, body: Try) -> dict[str, Any]:
        policy, now = await active(), clock.now()
        given = body.model_dump(include={"channel", "subject", "text", "language", "verdict"})
        try:
            contact = contact_of(Given(**{key: value for key, value in given.items() if value is not None}), now)
        except ValidationError as error:
            raise Problem(422, str(error)) from None
        seq = 1 if body.occasion == "first" else 2
        accepted = as_if_accepted(contact, policy, now, "try", 0, occasion=body.occasion, seq=seq)
        facts = structs.Facts(customer_tier=body.customer_tier, agreement=body.agreement, known=True)
        decision = as_model(decide_safely(policy, as_struct(accepted), facts, now))
        answer = decision.answer
        return {
            "why": describe(decision, policy.source),
            "answer": answer.text if answer else None,
            "version": policy.version,
        }

    @router.post("/dry-run", summary="What a draft of the rules would have decided otherwise")
    async def dry_run_(principal: Signed, body: Draft) -> dict[str, Any]:
        if one_at_a_time.locked():
            raise Problem(409, "Another draft is being run; try again when it is done.", code="busy")
        async with one_at_a_time:
            policy = await active()
            draft = await asyncio.to_thread(_draft, policy.source, body.rules)
            both = policy.source.to_json(), draft.to_json()
            found, since = Found(), clock.now() - timedelta(days=body.days)
            place: recorded.Place | None = (since, "")
            pages = 0
            while place is not None and pages < DRAFT_PAGES:
                page = await database.read(lambda conn, place=place: recorded.page(conn, place, DRAFT_PAGE))  # type: ignore[misc]
                found.add(await asyncio.to_thread(compare, *both, page.recorded))
                place, pages = page.end, pages + 1
            answer = {"version": draft.version, "all_of_them": place is None, **found.as_json()}
            if _queues(principal):  # counts are for everybody, messages are not
                for move in answer["moves"]:
                    move["examples"] = []
            return answer

    return router


def _queues(principal: Principal) -> tuple[str, ...]:
    """The queues that the caller may look into; () = all."""
    return tuple(principal.claims.get("queues", ()))


def _may_see(conn: Connection, conversation_id: str, queues: tuple[str, ...]) -> bool:
    if not queues:
        return True
    theirs = select(work_items.c.id).where(
        work_items.c.conversation_id == conversation_id, work_items.c.queue.in_(queues)
    )
    return conn.execute(theirs.limit(1)).first() is not None


def _named(interaction: Interaction) -> dict[str, str]:
    subject = (interaction.subject or interaction.text)[:SUBJECT_CHARS]
    at = interaction.accepted_at.isoformat()
    return {"id": interaction.id, "reference": interaction.reference, "subject": subject, "at": at}


def _draft(active: PolicySource, written: str) -> PolicySource:
    """The active policy with these rules. Raises Problem with every mistake."""
    read = read_rules(written, "draft")
    source = active.model_copy(update={"rules": tuple(read.rules), "places": {}})
    found = [*read.problems, *check(source, read.unsure)]
    if found:
        raise Problem(422, "The draft is not right yet.", code="draft", problems=[str(problem) for problem in found])
    return source
