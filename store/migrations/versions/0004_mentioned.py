"""Who was only mentioned in a conversation.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    comment = "participant, or mentioned in copy."
    column = sa.Column("role", sa.Text(), server_default="participant", nullable=False, comment=comment)
    op.add_column("participants", column)


def downgrade() -> None:
    op.drop_column("participants", "role")
