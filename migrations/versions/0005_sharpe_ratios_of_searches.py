"""sharpe ratios of searches: how many trials were seen, and how far apart their ratios came out"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("searches", schema=None) as batch_op:
        batch_op.add_column(sa.Column("n_seen", sa.BigInteger(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("n_measured", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("ratio_total", sa.Float(), nullable=True))
        batch_op.add_column(sa.Column("ratio_squares", sa.Float(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("searches", schema=None) as batch_op:
        for name in ("ratio_squares", "ratio_total", "n_measured", "n_seen"):
            batch_op.drop_column(name)
