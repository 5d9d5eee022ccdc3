"""How often each rule fired, by day.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rule_days",
        sa.Column("day", sa.Text(), primary_key=True, comment="of the decision, in UTC: 2026-03-04"),
        sa.Column("rule", sa.Text(), primary_key=True, comment='"" counts all decisions'),
        sa.Column("slot", sa.Integer(), primary_key=True, comment="processes that count at once take different ones"),
        sa.Column("hits", sa.Integer(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("rule_days")
