"""How many work items a conversation has had is asked for every batch of decisions.

Revision ID: 0010
Revises: 0009
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("work_items_by_conversation", "work_items", ["conversation_id"])


def downgrade() -> None:
    op.drop_index("work_items_by_conversation", "work_items")
