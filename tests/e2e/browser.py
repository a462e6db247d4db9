"""Pages in headless Chromium: what they said on the console, and whom they asked for what."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page

ARGS = [
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-quic"),
]

COLOURS = """(selector) => {
  let most = 0;
  for (const canvas of document.querySelectorAll(selector)) {
    if (!canvas.width || !canvas.height) continue;
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    const seen = new Set();
    for (let i = 0; i < pixels.length; i += 4)
      if (pixels[i + 3]) seen.add((pixels[i] << 16) | (pixels[i + 1] << 8) | pixels[i + 2]);
    most = Math.max(most, seen.size);
  }
  return most;
}"""


class Opened:
    """A page, and all it said and asked for."""

    def __init__(self, browser: Browser, url: str, **context: Any) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page: Page = browser.new_context(**context).new_page()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(url)

    def hosts(self) -> set[str]:
        """Return where its requests went; data in the page itself is not a request."""
        return {urlsplit(url).netloc for url in self.asked if not url.startswith(("data:", "blob:"))}

    def until(self, condition: Callable[[], Any], within_s: float = 20) -> None:
        """Wait for a condition; the pages' own policies forbid Playwright's wait_for_function."""
        for _ in range(int(within_s * 10)):
            if condition():
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"not within {within_s} s; the page says {self.said}")
