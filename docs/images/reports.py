"""Takes the picture of a report, from its title to the end of its section on luck: `python docs/images/reports.py`.

python docs/images/reports.py report.html docs/images/strategy-sma-cross.png
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTH = 1280


def take(report: Path, picture: Path) -> None:
    """Open `report` in Chromium and write what is above its assumptions to `picture`."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": WIDTH, "height": 900})
        page.goto(report.resolve().as_uri())
        page.wait_for_selector("body[data-ready=true]")
        page.wait_for_timeout(500)  # the charts fade in
        height = page.get_by_role("heading", name="Assumptions").first.bounding_box()
        assert height is not None
        page.screenshot(path=picture, full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": height["y"] - 24})
        browser.close()


if __name__ == "__main__":
    take(Path(sys.argv[1]), Path(sys.argv[2]))
