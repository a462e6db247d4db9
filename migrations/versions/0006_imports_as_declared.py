"""imports as declared: searches of imported files are of their market, and no longer of the files' SHA-256"""

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SEARCHES = sa.table("searches", sa.column("artifact_id"), sa.column("data"))
STAGES = sa.table(
    "stages",
    sa.column("artifact_id"),
    sa.column("input_artifact_id"),
    sa.column("stage"),
    sa.column("request", sa.JSON()),
)


def upgrade() -> None:
    rows = sa.select(SEARCHES.c.artifact_id).where(SEARCHES.c.data.like("file %")).distinct()
    for backtest in list(op.get_bind().scalars(rows)):
        market = next(markets_above(backtest), "spot")
        mine = sa.update(SEARCHES).where(SEARCHES.c.artifact_id == backtest)
        op.get_bind().execute(mine.values(data=f"file {market}"))


def markets_above(artifact: str | None) -> Iterator[str]:
    """Yield the market of the download that an artifact was made of, if the ledger still has it."""
    while artifact is not None:
        query = sa.select(STAGES.c.stage, STAGES.c.request, STAGES.c.input_artifact_id)
        row = op.get_bind().execute(query.where(STAGES.c.artifact_id == artifact).limit(1)).first()
        if row is None:
            return
        if row.stage == "download":
            yield row.request.get("market", "spot")
        artifact = row.input_artifact_id


def downgrade() -> None:
    """Leave the searches as they are: which file each was of is not known any more."""
