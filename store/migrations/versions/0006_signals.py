"""What customers were promised, whom work is kept for, and interactions in the order of their time.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

import store.sql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("customers", sa.Column("segment", sa.Text()))
    comment = "Its targets stand in the policy, by this name."
    op.add_column("customers", sa.Column("agreement", sa.Text(), comment=comment))
    comment = "The agent of before, who is offered it first, until then:"
    op.add_column("work_items", sa.Column("kept_for", sa.Text(), comment=comment))
    op.add_column("work_items", sa.Column("kept_until", store.sql.Moment()))
    op.create_index("interactions_by_time", "interactions", ["accepted_at", "id"])


def downgrade() -> None:
    op.drop_index("interactions_by_time", "interactions")
    op.drop_column("work_items", "kept_until")
    op.drop_column("work_items", "kept_for")
    op.drop_column("customers", "agreement")
    op.drop_column("customers", "segment")
