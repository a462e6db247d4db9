"""HTTP face of the features stage: parse, call the job, answer."""

from services.features.job import FeaturesJob
from tickloom.http import create_app, stage_router

router = stage_router("features", FeaturesJob())
app = create_app("features", router)
