"""`notify` and `webhook` of a decision → events on `notifications`: whoever listens carries them out, once per id."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from schemas.decision import Decision
from schemas.interaction import Interaction
from schemas.notification import Notification


def notices_of(made: Sequence[tuple[Decision, Interaction]], now: datetime) -> Iterator[Notification]:
    """One event for each name. Its id is the interaction's with the action and the name: what is decided anew, because
    somebody has released it, is not told again."""
    for decision, interaction in made:
        for kind, names in (("notify", decision.notify), ("webhook", decision.webhook)):
            for name in names:
                yield Notification(
                    id=f"{decision.interaction_id}:{kind}:{name}",
                    conversation_id=decision.conversation_id,
                    kind=kind,
                    subject=name,
                    data={
                        "interaction_id": decision.interaction_id,
                        "reference": interaction.reference,
                        "outcome": decision.outcome,
                        "queue": decision.queue,
                        "tier": decision.tier,
                        "tags": list(decision.tags),
                    },
                    at=now,
                    traceparent=decision.traceparent,
                )
