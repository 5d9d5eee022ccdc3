"""Several processes: the broker's lives and log ends, one active policy, open attempts by owner.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

import store.sql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "broker_log",
        sa.Column("incarnation", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("highest", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("incarnation", "topic", "partition"),
        comment="The highest offset that a broker which may forget has confirmed: its log never ends below it.",
    )
    op.create_table(
        "broker_lives",
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("life", sa.Integer(), nullable=False),
        sa.Column("since", store.sql.Moment(), nullable=False),
        sa.PrimaryKeyConstraint("cluster"),
    )
    op.create_index(
        "policies_one_active",
        "policies",
        ["active"],
        unique=True,
        sqlite_where=sa.text("active"),
        postgresql_where=sa.text("active"),
    )
    op.create_index(
        "deliveries_open_attempts",
        "deliveries",
        ["owner"],
        sqlite_where=sa.text("state = 'attempting'"),
        postgresql_where=sa.text("state = 'attempting'"),
    )


def downgrade() -> None:
    op.drop_index("deliveries_open_attempts", "deliveries")
    op.drop_index("policies_one_active", "policies")
    op.drop_table("broker_lives")
    op.drop_table("broker_log")
