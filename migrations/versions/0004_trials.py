"""trials: how far a search is, its best trial so far, and the time left of every stage"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("stages", schema=None) as batch_op:
        batch_op.add_column(sa.Column("seconds_left", sa.Float(), nullable=True))
        batch_op.add_column(sa.Column("trials", sa.JSON(none_as_null=True), nullable=True))
        batch_op.add_column(sa.Column("best", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("stages", schema=None) as batch_op:
        batch_op.drop_column("best")
        batch_op.drop_column("trials")
        batch_op.drop_column("seconds_left")
