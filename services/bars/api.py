"""HTTP face of the bars stage."""

from services.bars.job import BarsJob
from tickloom.http import create_app, stage_router

router = stage_router("bars", BarsJob())
app = create_app("bars", router)
