"""GET /: the front page, with the tasks, their reports, and links to the dashboards. GET /docs: every call, to try.

Both are the same for everybody and hold no data: what they show, they ask the API for, with the visitor's token.
"""

import base64
import hashlib
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader

from tickloom import __version__
from tickloom.settings import settings

HERE = Path(__file__).parent.parent
router = APIRouter(include_in_schema=False)
static = StaticFiles(directory=HERE / "static")
_pages = Environment(loader=FileSystemLoader(HERE / "pages"), autoescape=True)
_LIMITS = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
DOCS_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    f"img-src 'self' data:; {_LIMITS}"
)


def _page(name: str, policy: str, **words: str) -> HTMLResponse:
    text = _pages.get_template(name).render(**words)
    headers = {"content-security-policy": policy, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
    return HTMLResponse(text, headers=headers | {"cache-control": "no-cache"})


# The page comes in one piece. Its own script runs, known by its hash, and no other.
FRONT_STYLE, FRONT_SCRIPT = ((HERE / "pages" / name).read_text(encoding="utf-8") for name in ("front.css", "front.js"))
FRONT_HASH = base64.b64encode(hashlib.sha256(FRONT_SCRIPT.encode()).digest()).decode()
FRONT_CSP = (
    f"default-src 'none'; script-src 'sha256-{FRONT_HASH}'; style-src 'unsafe-inline'; connect-src 'self'; "
    f"img-src data:; {_LIMITS}"
)


@router.get("/", response_class=HTMLResponse)
def front() -> HTMLResponse:
    """Show what runs, what ran, and where to look closer."""
    config = settings()
    # A stranger before a gateway with a token is not told what runs behind it.
    about = "" if config.api_token else f"{__version__} · venue {config.venue}"
    ray = "" if config.ray_address == "off" else str(config.ray_dashboard_port)
    words = {"about": about, "flower": str(config.flower_port), "ray": ray}
    return _page("front.html", FRONT_CSP, style=FRONT_STYLE, script=FRONT_SCRIPT, **words)


@router.get("/docs", response_class=HTMLResponse)
def docs() -> HTMLResponse:
    """Show every call with a form to try it. Swagger UI comes from our own files: no internet is needed."""
    return _page("docs.html", DOCS_CSP)
