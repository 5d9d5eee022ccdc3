"""Which deliveries are deferred because our own relay was away.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    away: sa.Column[bool] = sa.Column(
        "relay_away", sa.Boolean(), nullable=False, server_default=sa.text("false"), comment="Why it is deferred."
    )
    op.add_column("deliveries", away)


def downgrade() -> None:
    op.drop_column("deliveries", "relay_away")
