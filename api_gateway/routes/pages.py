"""GET /: the front page, with links to the dashboards, the tasks and their reports."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader

from tickloom import __version__
from tickloom.settings import settings

router = APIRouter(include_in_schema=False)
_pages = Environment(loader=FileSystemLoader(Path(__file__).parent.parent / "pages"), autoescape=True)
CSP = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"


@router.get("/", response_class=HTMLResponse)
def front() -> HTMLResponse:
    """Show what runs, what ran, and where to look closer."""
    page = _pages.get_template("front.html").render(
        version=__version__,
        flower=f"http://localhost:{settings().flower_port}",
        ray=f"http://localhost:{settings().ray_dashboard_port}",
        venue=settings().venue,
    )
    return HTMLResponse(page, headers={"content-security-policy": CSP})
