"""Files that agents have brought for answers.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

import store.sql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "uploads",
        sa.Column("dataref", sa.Text(), primary_key=True),
        sa.Column("at", store.sql.Moment(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="waiting | used | going"),
    )
    op.create_index("uploads_by_state", "uploads", ["state", "at"])


def downgrade() -> None:
    op.drop_table("uploads")
