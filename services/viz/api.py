"""HTTP face of the viz stage."""

from services.viz.job import VizJob
from tickloom.http import create_app, stage_router

router = stage_router("viz", VizJob())
app = create_app("viz", router)
