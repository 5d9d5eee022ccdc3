"""How far each mailbox folder and each import has been read.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

import store.sql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mailbox_cursors",
        sa.Column("mailbox", sa.Text(), nullable=False),
        sa.Column("validity", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("backfill_to", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("since", store.sql.Moment(), nullable=True),
        sa.Column("changed_at", store.sql.Moment(), nullable=False),
        sa.PrimaryKeyConstraint("mailbox"),
        comment="Everything up to the position was accepted, or is not ours.",
    )


def downgrade() -> None:
    op.drop_table("mailbox_cursors")
