"""GET /: the front page, with the tasks, their reports, and links to the dashboards. GET /docs: every call, to try.

Both are the same for everybody and hold no data: what they show, they ask the API for, with the visitor's token.
"""

import base64
import hashlib
import re
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


def _front_csp() -> str:
    """Return a policy by which the page's own script runs, known by its hash, and no other."""
    source = (HERE / "pages" / "front.html").read_text(encoding="utf-8")
    script = re.search(r"<script>(.*?)</script>", source, re.DOTALL)
    assert script is not None
    known = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{known}'; style-src 'unsafe-inline'; connect-src 'self'; "
        f"img-src data:; {_LIMITS}"
    )


FRONT_CSP = _front_csp()


@router.get("/", response_class=HTMLResponse)
def front() -> HTMLResponse:
    """Show what runs, what ran, and where to look closer."""
    config = settings()
    # A stranger before a gateway with a token is not told what runs behind it.
    about = "" if config.api_token else f"{__version__} · venue {config.venue}"
    ray = "" if config.ray_address == "off" else str(config.ray_dashboard_port)
    return _page("front.html", FRONT_CSP, about=about, flower=str(config.flower_port), ray=ray)


@router.get("/docs", response_class=HTMLResponse)
def docs() -> HTMLResponse:
    """Show every call with a form to try it. Swagger UI comes from our own files: no internet is needed."""
    return _page("docs.html", DOCS_CSP)
