"""searches: how many trials were run on which data"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "searches",
        sa.Column("artifact_id", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("data", sa.String(length=300), nullable=False),
        sa.Column("first_day", sa.String(length=10), nullable=False),
        sa.Column("last_day", sa.String(length=10), nullable=False),
        sa.Column("n_trials", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("artifact_id", "symbol"),
    )
    with op.batch_alter_table("searches", schema=None) as batch_op:
        batch_op.create_index("searches_by_data", ["data", "symbol"], unique=False)


def downgrade() -> None:
    op.drop_table("searches")
