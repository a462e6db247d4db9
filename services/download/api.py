"""HTTP face of the download stage."""

from services.download.job import DownloadJob
from tickloom.http import create_app, stage_router

router = stage_router("download", DownloadJob())
app = create_app("download", router)
