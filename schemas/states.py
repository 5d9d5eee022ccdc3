"""The states of the house and the moves between them. Only their owners write them.

Interactions: `store/ledger.py`. Deliveries: `store/deliveries.py`. Work items: `store/work_items.py`.
Every accepted interaction is in exactly one state at any moment, so accepted = Σ states.
"""

from enum import StrEnum


class InteractionState(StrEnum):
    RECEIVED = "received"
    """Accepted, waiting for its decision."""
    QUEUED = "queued"
    """In an open work item."""
    ANSWERING = "answering"
    """An answer was given and is on its way."""
    ANSWERED = "answered"
    HELD = "held"
    """Set aside by a rule, a limit or an agent until somebody releases it."""
    CLOSED = "closed"
    """Needs no answer; the reason says why."""
    DEAD_LETTER = "dead_letter"
    """Could not be processed; kept with its bytes."""


class DeliveryState(StrEnum):
    PENDING = "pending"
    ATTEMPTING = "attempting"
    SENT = "sent"
    DEFERRED = "deferred"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """The link broke after the point of no return: only a human may decide."""
    WITHDRAWN = "withdrawn"


class WorkItemState(StrEnum):
    QUEUED = "queued"
    RESERVED = "reserved"
    ASSIGNED = "assigned"
    WRAP_UP = "wrap_up"
    COMPLETED = "completed"
    CANCELED = "canceled"
    ABANDONED = "abandoned"
    EXPIRED = "expired"


I, D, W = InteractionState, DeliveryState, WorkItemState

INTERACTION_MOVES: dict[InteractionState, frozenset[InteractionState]] = {
    I.RECEIVED: frozenset({I.QUEUED, I.ANSWERING, I.HELD, I.CLOSED, I.DEAD_LETTER}),
    # queued → answered: a call-back whose completion is the answer, or a person knows that an answer of unknown outcome
    # did arrive; queued → held: an agent set it aside.
    I.QUEUED: frozenset({I.ANSWERING, I.ANSWERED, I.HELD, I.CLOSED}),
    # answering → queued: the answer failed, was withdrawn, or its outcome is unknown.
    I.ANSWERING: frozenset({I.ANSWERED, I.QUEUED}),
    # answered → queued: a bounce came back later.
    I.ANSWERED: frozenset({I.QUEUED}),
    I.HELD: frozenset({I.RECEIVED, I.CLOSED}),
    I.CLOSED: frozenset(),
    I.DEAD_LETTER: frozenset({I.RECEIVED, I.CLOSED}),
}

DELIVERY_MOVES: dict[DeliveryState, frozenset[DeliveryState]] = {
    # pending → sent: chat and forms, which have no point of no return.
    D.PENDING: frozenset({D.ATTEMPTING, D.SENT, D.FAILED, D.WITHDRAWN}),
    D.ATTEMPTING: frozenset({D.SENT, D.DEFERRED, D.FAILED, D.UNKNOWN}),
    # deferred → withdrawn: an acknowledgement that an agent's answer has overtaken.
    D.DEFERRED: frozenset({D.ATTEMPTING, D.FAILED, D.WITHDRAWN}),
    D.SENT: frozenset({D.FAILED}),
    D.FAILED: frozenset(),
    # unknown → sent | pending: a human said so (`deliveries resolve --sent | --resend`); → failed: it came back.
    D.UNKNOWN: frozenset({D.SENT, D.PENDING, D.FAILED}),
    D.WITHDRAWN: frozenset(),
}

OPEN_WORK_ITEM_STATES = frozenset({W.QUEUED, W.RESERVED, W.ASSIGNED})
"""At most one work item per conversation is in one of these."""

WORK_ITEM_MOVES: dict[WorkItemState, frozenset[WorkItemState]] = {
    W.QUEUED: frozenset({W.RESERVED, W.ASSIGNED, W.COMPLETED, W.CANCELED, W.ABANDONED, W.EXPIRED}),
    W.RESERVED: frozenset({W.ASSIGNED, W.QUEUED, W.CANCELED, W.ABANDONED, W.EXPIRED}),
    W.ASSIGNED: frozenset({W.QUEUED, W.WRAP_UP, W.COMPLETED, W.CANCELED, W.ABANDONED}),
    W.WRAP_UP: frozenset({W.COMPLETED, W.QUEUED}),
    W.COMPLETED: frozenset(),
    W.CANCELED: frozenset(),
    W.ABANDONED: frozenset(),
    W.EXPIRED: frozenset(),
}
