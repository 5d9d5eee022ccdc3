"""The address from which an agent writes mail.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("agents", sa.Column("address", sa.Text(), comment="Whose verified mail is an internal note."))
    op.create_index("agents_by_address", "agents", ["address"], unique=True)


def downgrade() -> None:
    op.drop_index("agents_by_address", "agents")
    op.drop_column("agents", "address")
