"""stale artifacts, and when archives were last compared"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "stale_artifacts",
        sa.Column("artifact_id", sa.String(length=64), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("download_id", sa.String(length=64), nullable=False),
        sa.Column("archives", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("artifact_id"),
    )
    op.create_table(
        "rechecks",
        sa.Column("download_id", sa.String(length=64), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("asked", sa.BigInteger(), nullable=False),
        sa.Column("forgotten", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("download_id"),
    )


def downgrade() -> None:
    op.drop_table("rechecks")
    op.drop_table("stale_artifacts")
