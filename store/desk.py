"""What an agent does to a work item, each in one transaction under the conversation's lock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import update
from sqlalchemy.engine import Connection

from schemas import ids
from schemas.errors import StateConflict
from schemas.interaction import Attachment, Interaction
from schemas.reply import Author, Reply
from schemas.states import InteractionState, WorkItemState
from schemas.work_item import WorkItem
from store import by_hand, conversations, ledger, replies, uploads, work_items
from store.accepting import NOTE
from store.outbox import Outbox
from store.tables import conversations as conversations_table

Disposition = Literal["no_answer_needed", "spam", "duplicate_content", "canceled"]
"""Why a work item is completed without an answer to what it still holds."""


@dataclass(frozen=True, slots=True)
class Enclosed:
    """What goes with a mail besides its words: further recipients, and files that lie in the blob store."""

    cc: tuple[str, ...] = ()
    files: tuple[Attachment, ...] = ()


NOTHING = Enclosed()


class NewerMessages(StateConflict):
    """The customer has written since: look at `messages` before completing."""

    def __init__(self, messages: Sequence[Interaction]) -> None:
        super().__init__(
            f"the customer has written {len(messages)} more", hint="read it, then complete through the highest seq"
        )
        self.messages = list(messages)


class NoSuchSeq(StateConflict):
    """`answers_through` names a message that there is not: it must be what the agent has been shown."""


class KeyReused(StateConflict):
    """A reply's key was used for another text before: a new text needs a new key."""


class NoSuchAnswer(StateConflict):
    """The channel cannot carry a written answer."""


def reply(
    conn: Connection,
    out: Outbox,
    *,
    item_id: str,
    agent: str,
    epoch: int,
    key: str,
    text: str,
    answers_through: int,
    now: datetime,
    not_before: datetime | None = None,
    enclosed: Enclosed = NOTHING,
) -> Reply:
    """Answer what the agent has seen. Until `not_before` a mail can be withdrawn; other channels do not wait. `key` is
    the client's: the same key gives the same reply, once.

    Raises NotFound, LeaseLost, NoSuchAnswer, UploadGone.
    """
    item = locked(conn, item_id, agent, epoch, answers_through)
    return _reply(conn, out, item, agent, key, text, answers_through, now, not_before, enclosed)


def complete(
    conn: Connection,
    out: Outbox,
    *,
    item_id: str,
    agent: str,
    epoch: int,
    answers_through: int,
    now: datetime,
    disposition: Disposition = "no_answer_needed",
    key: str | None = None,
    text: str | None = None,
    not_before: datetime | None = None,
    enclosed: Enclosed = NOTHING,
) -> tuple[WorkItem, Reply | None]:
    """Finish a work item, with a last reply if `text` is given: both or none.

    What it still holds unanswered is closed with `disposition`; a call counts as answered by the call-back.
    Raises NotFound, LeaseLost, NoSuchAnswer, UploadGone, NewerMessages (nothing is taken then).
    """
    item = locked(conn, item_id, agent, epoch, answers_through)
    if ledger.highest_open_seq(conn, item.conversation_id) > answers_through:
        raise NewerMessages(
            [
                interaction
                for standing, interaction in ledger.of_conversation(conn, item.conversation_id)
                if interaction is not None
                and interaction.seq > answers_through
                and standing.state is not InteractionState.CLOSED
            ]
        )
    sent = None
    if text is not None:
        key = key or ids.work_item_id(item_id, epoch)
        sent = _reply(conn, out, item, agent, key, text, answers_through, now, not_before, enclosed)
    left = ledger.ids_in_state(conn, item.conversation_id, InteractionState.QUEUED, answers_through)
    called = item.channel == "phone_log" and disposition == "no_answer_needed"
    ledger.move(
        conn,
        left,
        InteractionState.ANSWERED if called else InteractionState.CLOSED,
        frm=[InteractionState.QUEUED],
        actor=f"agent:{agent}",
        at=now,
        reason="call_back" if called else disposition,
    )
    conn.execute(
        update(conversations_table).where(conversations_table.c.id == item.conversation_id).values(last_agent=agent)
    )
    return work_items.move(conn, out, item_id, WorkItemState.COMPLETED, now=now), sent


def completed_before(
    conn: Connection, item: WorkItem, *, key: str | None, text: str | None, enclosed: Enclosed = NOTHING
) -> Reply | None:
    """The last reply of an item that this agent has completed already: the response may have been lost. Raises
    KeyReused, StateConflict when the text is another one, which goes nowhere."""
    if text is None:
        return None
    known = replies.get(conn, ids.agent_reply_id(item.conversation_id, key or ids.work_item_id(item.id, item.epoch)))
    if known is None:
        raise StateConflict("it is completed already; this text was not sent", hint="answer the next work item")
    return _the_same(known, text, enclosed)


def release(conn: Connection, out: Outbox, *, item_id: str, agent: str, epoch: int, now: datetime) -> WorkItem:
    """Give a work item back to its queue, at its old place. Raises NotFound, LeaseLost."""
    locked(conn, item_id, agent, epoch)
    return work_items.move(conn, out, item_id, WorkItemState.QUEUED, now=now)


def locked(conn: Connection, item_id: str, agent: str, epoch: int, answers_through: int = 0) -> WorkItem:
    """The agent's item, with its conversation. Raises NotFound, LeaseLost, NoSuchSeq."""
    # The conversation first, then the item: everybody takes the two in this order.
    last = conversations.lock(conn, work_items.get(conn, item_id).conversation_id) or 0
    item = work_items.held(conn, item_id, agent, epoch)
    if answers_through > last:
        raise NoSuchSeq(f"there is no message {answers_through}; the last one is {last}", hint="read the item again")
    return item


def _addressee(conn: Connection, conversation_id: str, answers_through: int) -> Interaction:
    """The message that a reply goes back to: the latest that the agent has seen, but no note, nothing by who was only
    in copy (nothing is sent to them until an agent adds them), and no machine's while a person has written."""
    seen = [i for _, i in ledger.of_conversation(conn, conversation_id) if i is not None and NOTE not in i.flags]
    aside = conversations.mentioned_in(conn, conversation_id)
    latest = [i for i in reversed(seen) if i.seq <= answers_through] or seen[:1]
    by_people = [i for i in latest if i.sender.address not in aside]
    return next((i for i in by_people if not i.automatic), (by_people or latest)[0])


def _the_same(known: Reply, text: str, enclosed: Enclosed) -> Reply:
    if (known.text, known.cc, known.files) != (text, enclosed.cc, enclosed.files):
        raise KeyReused("this key was used for another reply", hint="make a new key for a new text")
    return known


def _reply(
    conn: Connection,
    out: Outbox,
    item: WorkItem,
    agent: str,
    key: str,
    text: str,
    answers_through: int,
    now: datetime,
    not_before: datetime | None,
    enclosed: Enclosed,
) -> Reply:
    reply_id = ids.agent_reply_id(item.conversation_id, key)
    known = replies.get(conn, reply_id)
    if known is not None:
        return _the_same(known, text, enclosed)
    latest = _addressee(conn, item.conversation_id, answers_through)
    if latest.channel == "phone_log" or not (
        latest.sender.address or replies.session_of(latest) or latest.channel == "web_form"
    ):
        raise NoSuchAnswer(
            f"a {latest.channel} contact cannot be answered in writing",
            hint="call back, then complete the work item without a text: the call is the answer",
        )
    if latest.channel != "email" and (enclosed.cc or enclosed.files):
        raise NoSuchAnswer(
            f"an answer by {latest.channel} carries words alone: no files, no copies",
            hint="write a link, or ask for a mail address",
        )
    if enclosed.files:
        uploads.use(conn, [each.dataref or "" for each in enclosed.files])
    conversations.join(conn, item.conversation_id, enclosed.cc)
    answered = ledger.ids_in_state(conn, item.conversation_id, InteractionState.QUEUED, answers_through)
    made = Reply(
        id=reply_id,
        conversation_id=item.conversation_id,
        reference=item.reference,
        channel=latest.channel,
        account=latest.account,
        recipient=latest.sender,
        author=Author(kind="agent", name=agent),
        subject=latest.subject,
        text=text,
        cc=enclosed.cc,
        files=enclosed.files,
        automatic=False,
        answers=tuple(answered),
        answers_through=answers_through,
        thread=replies.thread_of(latest),
        session_id=replies.session_of(latest),
        language=latest.language,
        created_at=now,
        not_before=not_before if latest.channel == "email" else None,
        traceparent=latest.traceparent,
    )
    by_hand.withdraw_acknowledgements(conn, out, item.conversation_id, answers_through, agent, now)
    replies.request(conn, out, [made])
    ledger.move(
        conn,
        answered,
        InteractionState.ANSWERING,
        frm=[InteractionState.QUEUED],
        actor=f"agent:{agent}",
        at=now,
        detail={"reply": reply_id},
    )
    return made
