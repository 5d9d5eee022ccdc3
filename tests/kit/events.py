"""One full example of every event, for golden files and round trips."""

from datetime import timedelta

from schemas.dead_letter import DeadLetter, Place
from schemas.decision import ActionTrace, Answer, Decision, Facts, Failed, RuleTrace
from schemas.delivery import Delivery
from schemas.events import Event
from schemas.interaction import Contact, Interaction, RawPayload
from schemas.notification import Notification
from schemas.reply import Author, Reply, Thread
from schemas.states import DeliveryState, WorkItemState
from schemas.work_item import WorkItem
from tests.kit.contacts import NOW, T1, call, chat, email, web_form

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def interaction(contact: Contact) -> Interaction:
    return Interaction(
        **contact.model_dump(),
        id=f"id-{contact.channel}",
        conversation_id="conversation",
        reference="SB-1042",
        seq=1,
        accepted_at=T1,
        customer_id="customer",
        policy_version="p-0123456789ab",
        digest="d" * 64,
        raw=RawPayload(media_type="message/rfc822", size=3, sha256="a" * 64),
        traceparent=TRACE,
    )


def examples() -> dict[str, Event]:
    """File name → event."""
    decision = Decision(
        id="id:decision:1",
        interaction_id="id",
        conversation_id="conversation",
        seq=1,
        policy_version="p-0123456789ab",
        decided_at=T1,
        outcome="answer",
        answer=Answer(
            rule="hours", template="hours", subject="Hours", text="9 to 5\n", html="<p>9 to 5</p>", final=True
        ),
        fallback_queue="general",
        tier="P2",
        tier_why="priority table, row 1",
        target_s=3600.0,
        target_why="1h: email, P2",
        deadline=NOW + timedelta(hours=1),
        skills=("german",),
        tags=("hours",),
        attributes={"order": "1234"},
        facts=Facts(customer_tier="gold", known=True, contacts_7d=1),
        rules=(
            RuleTrace(
                name="hours",
                order=10,
                file="rules/hours.yaml",
                line=3,
                result="fired",
                actions=(ActionTrace(kind="answer", value="hours"),),
            ),
            RuleTrace(
                name="vip",
                result="failed",
                failed=Failed(path="when", field="customer_tier", operator="equals", expected="gold", actual="silver"),
            ),
        ),
        considered=2,
        traceparent=TRACE,
    )
    sender = email().sender
    return {
        "interaction-email": interaction(email()),
        "interaction-chat": interaction(chat()),
        "interaction-web_form": interaction(web_form()),
        "interaction-phone_log": interaction(call()),
        "decision": decision,
        "reply": Reply(
            id="id:answer:1",
            conversation_id="conversation",
            reference="SB-1042",
            channel="email",
            account="support",
            recipient=sender,
            author=Author(kind="rule", name="hours"),
            subject="Hours",
            text="9 to 5\n",
            automatic=True,
            answers=("id",),
            answers_through=1,
            thread=Thread(in_reply_to="m1@example.org", references=("m1@example.org",), subject="Hours?"),
            created_at=T1,
        ),
        "work_item": WorkItem(
            id="conversation:work:1",
            version=2,
            conversation_id="conversation",
            reference="SB-1042",
            channel="chat",
            account="website",
            customer_id="customer",
            queue="support",
            tier="P1",
            deadline=T1,
            enqueued_at=NOW,
            state=WorkItemState.ASSIGNED,
            agent="ada",
            epoch=1,
            leased_until=T1,
            at=T1,
        ),
        "delivery": Delivery(
            id="id:answer:1:delivery:2",
            reply_id="id:answer:1",
            conversation_id="conversation",
            channel="email",
            account="support",
            recipient="ann@example.org",
            state=DeliveryState.SENT,
            attempt=1,
            change=2,
            at=T1,
            provider_id="r1@shop.example",
            answers=("id",),
        ),
        "dead_letter": DeadLetter.model_construct(
            id="interactions:0:7",
            conversation_id="conversation",
            interaction_id=None,
            round=1,
            reason="undecodable",
            detail="not JSON",
            place=Place(topic="interactions", partition=0, offset=7),
            headers=(("ce_type", b"\xff"),),
            raw=b"\x00\xffjunk",
            dataref=None,
            media_type="application/octet-stream",
            at=T1,
            traceparent=None,
        ),
        "notification": Notification(id="id:notify:1", conversation_id="conversation", kind="vip", at=T1),
    }
