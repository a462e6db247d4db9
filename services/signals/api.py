"""HTTP face of the signals stage."""

from services.signals.job import SignalsJob
from tickloom.http import create_app, stage_router

router = stage_router("signals", SignalsJob())
app = create_app("signals", router)
