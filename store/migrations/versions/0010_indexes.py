"""Indexes for what is asked for every batch: what the outbox has open, in its order; the work of conversations and
customers.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_NOT_DONE = sa.text("NOT done")


def upgrade() -> None:
    op.drop_index("outbox_open", "outbox")
    op.create_index("outbox_open", "outbox", ["id", "shard"], sqlite_where=_NOT_DONE, postgresql_where=_NOT_DONE)
    op.create_index("work_items_by_conversation", "work_items", ["conversation_id"])
    op.create_index("work_items_by_customer", "work_items", ["customer_id", "state"])


def downgrade() -> None:
    op.drop_index("work_items_by_customer", "work_items")
    op.drop_index("work_items_by_conversation", "work_items")
    op.drop_index("outbox_open", "outbox")
    op.create_index("outbox_open", "outbox", ["shard", "id"], sqlite_where=_NOT_DONE, postgresql_where=_NOT_DONE)
