"""Every table, and which module owns it: only the owner writes it."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from store.sql import Json, Moment

metadata = MetaData()
_BigId = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up INTEGER PRIMARY KEY only

# --- owner: intake.py -------------------------------------------------------------------------------------------
acceptances = Table(
    "acceptances",
    metadata,
    Column("dedupe_key", Text, primary_key=True),
    Column("interaction_id", Text, nullable=False, unique=True),
    Column("channel", Text, nullable=False),
    Column("accepted_at", Moment, nullable=False),
    Column("copies", Integer, nullable=False, server_default="0"),
    Column("paths", Json),
    comment="One row per accepted interaction; never expires. Counted independently of the states.",
)
payloads = Table(
    "payloads",
    metadata,
    Column("interaction_id", Text, primary_key=True),
    Column("media_type", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("raw", LargeBinary),
    Column("dataref", Text),
)

# --- owner: ledger.py -------------------------------------------------------------------------------------------
interactions = Table(
    "interactions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("conversation_id", Text, nullable=False),
    Column("seq", Integer),
    Column("channel", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("customer_id", Text),
    Column("received_at", Moment, nullable=False),
    Column("accepted_at", Moment, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("round", Integer, nullable=False, server_default="1"),
    Column("changed_at", Moment, nullable=False),
    Column("body", Json, comment="The Interaction; NULL for acked bytes that gave none."),
    UniqueConstraint("conversation_id", "seq"),
    Index("interactions_by_state", "state", "channel"),
    Index("interactions_by_customer", "customer_id", "accepted_at"),
    Index("interactions_by_time", "accepted_at", "id"),
)
history = Table(
    "history",
    metadata,
    Column("id", _BigId, primary_key=True, autoincrement=True),
    Column("interaction_id", Text),
    Column("conversation_id", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("event", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("detail", Json),
    Index("history_by_interaction", "interaction_id"),
    Index("history_by_conversation", "conversation_id"),
)

# --- owner: conversations.py ------------------------------------------------------------------------------------
conversations = Table(
    "conversations",
    metadata,
    Column("number", _BigId, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("channel", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("subject", Text, nullable=False, server_default=""),
    Column("last_seq", Integer, nullable=False),
    Column("last_at", Moment, nullable=False),
    Column("linked_to", Text, comment="A conversation that this one refers to without belonging to it."),
    Column("last_agent", Text),
)
conversation_aliases = Table(
    "conversation_aliases",
    metadata,
    Column("id", Text, primary_key=True),
    Column("merged_into", Text, nullable=False),
)
participants = Table(
    "participants",
    metadata,
    Column("conversation_id", Text, primary_key=True),
    Column("address", Text, primary_key=True),
    Column("role", Text, nullable=False, server_default="participant", comment="participant, or mentioned in copy."),
)
thread_index = Table(
    "thread_index",
    metadata,
    Column("message_id", Text, primary_key=True),
    Column("conversation_id", Text, primary_key=True),
)

# --- owner: customers.py ----------------------------------------------------------------------------------------
customers = Table(
    "customers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("name", Text, nullable=False, server_default=""),
    Column("tier", Text),
    Column("tags", Json),
    Column("segment", Text),
    Column("agreement", Text, comment="Its targets stand in the policy, by this name."),
    Column("created_at", Moment, nullable=False),
    Index("customers_by_address", "address"),
)

# --- owner: outbox.py -------------------------------------------------------------------------------------------
outbox = Table(
    "outbox",
    metadata,
    Column("id", _BigId, primary_key=True, autoincrement=True),
    Column("event_id", Text, nullable=False, unique=True),
    Column("topic", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("shard", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("headers", Json, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("done", Boolean, nullable=False, server_default=text("false")),
    Column("incarnation", Text, comment="The broker that confirmed it; NULL while unpublished."),
    Column("partition", Integer),
    Column("offset", BigInteger),
    Index("outbox_open", "id", "shard", sqlite_where=text("NOT done"), postgresql_where=text("NOT done")),
)
outbox_positions = Table(
    "outbox_positions",
    metadata,
    Column("key", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("position", Integer, nullable=False),
)

broker_log = Table(
    "broker_log",
    metadata,
    Column("incarnation", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("highest", BigInteger, nullable=False),
    comment="The highest offset that a broker which may forget has confirmed: its log never ends below it.",
)

# --- owner: lives.py --------------------------------------------------------------------------------------------
broker_lives = Table(
    "broker_lives",
    metadata,
    Column("cluster", Text, primary_key=True),
    Column("life", Integer, nullable=False),
    Column("since", Moment, nullable=False),
)

# --- owner: leases.py -------------------------------------------------------------------------------------------
leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("until", Moment, nullable=False),
)

# --- owner: mailboxes.py ----------------------------------------------------------------------------------------
mailbox_cursors = Table(
    "mailbox_cursors",
    metadata,
    Column("mailbox", Text, primary_key=True),
    Column("validity", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("backfill_to", BigInteger, nullable=False, server_default="0"),
    Column("since", Moment),
    Column("changed_at", Moment, nullable=False),
    comment="Everything up to the position was accepted, or is not ours.",
)

# --- owner: decisions.py ----------------------------------------------------------------------------------------
decisions = Table(
    "decisions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("interaction_id", Text, nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("decided_at", Moment, nullable=False),
    Column("refused", Text, nullable=False, server_default="", comment="Why the answer was not given."),
    Column("body", Json, nullable=False),
    Index("decisions_by_interaction", "interaction_id"),
)
auto_answers = Table(
    "auto_answers",
    metadata,
    Column("conversation_id", Text, primary_key=True),
    Column("rule", Text, primary_key=True),
    Column("address", Text, nullable=False),
    Column("domain", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Index("auto_answers_by_address", "address", "at"),
    Index("auto_answers_by_domain", "domain", "at"),
)

# --- owner: replies.py ------------------------------------------------------------------------------------------
replies = Table(
    "replies",
    metadata,
    Column("id", Text, primary_key=True),
    Column("conversation_id", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("body", Json, nullable=False),
    Index("replies_by_conversation", "conversation_id", "created_at"),
)

# --- owner: deliveries.py, attempts.py ---------------------------------------------------------------------------
deliveries = Table(
    "deliveries",
    metadata,
    Column("reply_id", Text, primary_key=True),
    Column("recipient", Text, primary_key=True),
    Column("conversation_id", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("session_id", Text),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("change", Integer, nullable=False, server_default="0"),
    Column("due_at", Moment, nullable=False),
    Column("relay_away", Boolean, nullable=False, server_default=text("false"), comment="Why it is deferred."),
    Column("owner", Text),
    Column("detail", Text, nullable=False, server_default=""),
    Column("provider_id", Text, nullable=False, server_default=""),
    Column("created_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Index("deliveries_due", "channel", "state", "due_at"),
    Index("deliveries_by_conversation", "conversation_id", "recipient", "state"),
    Index("deliveries_by_session", "session_id"),
    Index(
        "deliveries_open_attempts",
        "owner",
        sqlite_where=text("state = 'attempting'"),
        postgresql_where=text("state = 'attempting'"),
    ),
)

# --- owner: uploads.py ------------------------------------------------------------------------------------------
uploads = Table(
    "uploads",
    metadata,
    Column("dataref", Text, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("state", Text, nullable=False, comment="waiting | used | going"),
    Index("uploads_by_state", "state", "at"),
)

# --- owner: rule_hits.py ----------------------------------------------------------------------------------------
rule_days = Table(
    "rule_days",
    metadata,
    Column("day", Text, primary_key=True, comment="of the decision, in UTC: 2026-03-04"),
    Column("rule", Text, primary_key=True, comment='"" counts all decisions'),
    Column("slot", Integer, primary_key=True, comment="processes that count at once take different ones"),
    Column("hits", Integer, nullable=False),
)

# --- owner: work_items.py ---------------------------------------------------------------------------------------
work_items = Table(
    "work_items",
    metadata,
    Column("id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("conversation_id", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("subject", Text, nullable=False, server_default=""),
    Column("queue", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("deadline", Moment, nullable=False),
    Column("enqueued_at", Moment, nullable=False),
    Column("state", Text, nullable=False),
    Column("agent", Text),
    Column("epoch", Integer, nullable=False, server_default="0"),
    Column("kept_for", Text, comment="The agent of before, who is offered it first, until then:"),
    Column("kept_until", Moment),
    Column("leased_until", Moment),
    Column("skills", Json),
    Column("tags", Json),
    Column("reason", Text, nullable=False, server_default=""),
    Column("changed_at", Moment, nullable=False),
    Index(
        "work_items_one_open",
        "conversation_id",
        unique=True,
        sqlite_where=text("state IN ('queued', 'reserved', 'assigned')"),
        postgresql_where=text("state IN ('queued', 'reserved', 'assigned')"),
    ),
    Index("work_items_by_conversation", "conversation_id"),
    Index("work_items_by_customer", "customer_id", "state"),
    Index("work_items_line", "state", "queue", "deadline"),
    Index("work_items_by_agent", "agent", "state"),
)

# --- owner: agents.py -------------------------------------------------------------------------------------------
agents = Table(
    "agents",
    metadata,
    Column("name", Text, primary_key=True),
    Column("display_name", Text, nullable=False, server_default=""),
    Column("queues", Json, nullable=False, comment="Names of queues; [] = all."),
    Column("skills", Json, nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("created_at", Moment, nullable=False),
    Column("address", Text, comment="Whose verified mail is an internal note."),
    Index("agents_by_address", "address", unique=True),
)
agent_tokens = Table(
    "agent_tokens",
    metadata,
    Column("hash", Text, primary_key=True, comment="SHA-256 of the token; the token itself is shown once."),
    Column("agent", Text, ForeignKey("agents.name"), nullable=False),
    Column("label", Text, nullable=False, server_default=""),
    Column("created_at", Moment, nullable=False),
    Column("last_used_at", Moment),
    Column("revoked_at", Moment),
)

# --- owner: dead_letters.py -------------------------------------------------------------------------------------
dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", Text, primary_key=True),
    Column("conversation_id", Text, nullable=False),
    Column("interaction_id", Text),
    Column("round", Integer, nullable=False, server_default="1"),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False, server_default=""),
    Column("place", Json, nullable=False),
    Column("headers", Json, nullable=False),
    Column("raw", LargeBinary),
    Column("dataref", Text),
    Column("media_type", Text, nullable=False),
    Column("state", Text, nullable=False, comment="open | replayed | discarded"),
    Column("at", Moment, nullable=False),
    Index("dead_letters_by_state", "state", "at"),
)

# --- owner: policies.py -----------------------------------------------------------------------------------------
policies = Table(
    "policies",
    metadata,
    Column("version", Text, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("activated_at", Moment),
    Column("active", Boolean, nullable=False),
    Index(
        "policies_one_active",
        "active",
        unique=True,
        sqlite_where=text("active"),
        postgresql_where=text("active"),
    ),
)

# --- owner: refusals.py -----------------------------------------------------------------------------------------
refusals = Table(
    "refusals",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    comment="What was refused to the sender: counted only, never accepted.",
)
