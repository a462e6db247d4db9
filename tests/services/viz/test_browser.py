"""The report in a real browser: opened from disk, it is quiet, asks nobody for anything, and shows its charts."""

import shutil

import pytest
from playwright.sync_api import Error, sync_playwright

from services.viz.job import VizJob
from tests.services.viz.lakes import Market, Setting, viz_call
from tickloom.http import Report

CHROMIUM = shutil.which("chromium")
ARGS = [
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-quic"),
]
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="NO CHROMIUM: install chromium to test the report in a browser"
)

INK = """(selector) => {
  let ink = 0;
  for (const canvas of document.querySelectorAll(selector + " canvas")) {
    const { width, height } = canvas;
    if (!width || !height) continue;
    const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
    const seen = new Set();
    for (let i = 0; i < pixels.length; i += 4)
      if (pixels[i + 3]) seen.add((pixels[i] << 16) | (pixels[i + 1] << 8) | pixels[i + 2]);
    ink = Math.max(ink, seen.size);
  }
  return ink;
}"""

# How many pixels of each pane have exactly this colour: [price, equity, drawdown], axes left out.
PIXELS = """(name) => {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const [r, g, b] = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
  probe.remove();
  const panes = [...document.querySelectorAll("#s0 .chart table tr")].filter((row) => row.cells.length > 1).slice(0, 3);
  return panes.map((row) => {
    let count = 0;
    for (const canvas of row.cells[1].querySelectorAll("canvas")) {
      const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
      for (let i = 0; i < pixels.length; i += 4) count += pixels[i] === r && pixels[i + 1] === g && pixels[i + 2] === b;
    }
    return count;
  });
}"""


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        browser.close()


def until(page, condition, tries=100):
    """Wait for a condition; the page's own policy forbids Playwright's wait_for_function."""
    while not condition():
        tries -= 1
        assert tries, "it did not happen within 10 s"
        page.wait_for_timeout(100)


class Opened:
    """A page, and what it said and asked for."""

    def __init__(self, browser, path, **context):
        self.said, self.asked = [], []
        self.page = browser.new_context(**context).new_page()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("body[data-ready=true]")
        until(self.page, lambda: self.page.evaluate(INK, ".symbol:not([hidden]) .chart") > 20)

    def outside(self):
        return [url for url in self.asked if not url.startswith(("file:", "data:"))]


@pytest.fixture(scope="module")
def path(builder, drawn, tmp_path_factory):
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_bytes(builder.lake.read_bytes(builder.lake.entry(drawn, "report.html")))
    return file


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_draws_its_charts_silently_and_alone(browser, path, scheme, width):
    opened = Opened(browser, path, color_scheme=scheme, viewport={"width": width, "height": 900})
    assert opened.said == []
    assert opened.outside() == []
    assert len(opened.asked) == 1
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert opened.page.locator("#tv-attr-logo").first.is_visible()


def test_candles_equity_benchmark_drawdown_and_marks_are_in_their_panes(browser, path):
    page = Opened(browser, path, viewport={"width": 1280, "height": 900}).page
    stopped = page.evaluate(PIXELS, "warn")
    assert stopped[0] > 20
    page.get_by_role("button", name="Trades").first.click()
    until(page, lambda: page.evaluate(PIXELS, "warn")[0] == 0)
    up, down, own, other = (page.evaluate(PIXELS, name) for name in ("up", "down", "own", "other"))
    assert min(up[0], down[0]) > 200  # wicks
    assert own[1] > 200
    assert other[1] > 50
    assert down[2] > 10  # a thin line over its own shade
    assert (up[1], own[2]) == (0, 0)


def test_tabs_switch_between_symbols_by_click_and_by_key(browser, path):
    opened = Opened(browser, path, viewport={"width": 1280, "height": 900})
    page = opened.page
    page.get_by_role("tab", name="ETHUSDT").click()
    assert page.locator("#s1").is_visible()
    assert page.locator("#s0").is_hidden()
    until(page, lambda: page.evaluate(INK, "#s1 .chart") > 20)
    page.keyboard.press("ArrowLeft")
    assert page.locator("#s0").is_visible()
    assert opened.said == []


def test_the_heat_map_follows_its_selector_and_tells_values_on_hover(browser, path):
    page = Opened(browser, path, viewport={"width": 1280, "height": 900}).page
    cells = page.locator("#s0 .heat .cell")
    assert cells.count() == 9
    before = cells.all_text_contents()
    page.locator("#s0 .selectors select").first.select_option("total_return")
    assert page.locator("#s0 .heat .cell").all_text_contents() != before
    page.locator("#s0 .heat .cell.best").hover()
    assert "Max drawdown" in page.locator("#tip").inner_text()


def test_the_trade_list_sorts_and_grows(browser, path):
    page = Opened(browser, path, viewport={"width": 1280, "height": 900}).page
    rows = page.locator("#s0 .trades tbody tr")
    assert rows.count() == 20
    page.locator("#s0 .more button").last.click()
    assert rows.count() == int(page.locator("#s0 .trades-block h2 small").inner_text()) > 20
    page.locator("#s0 .trades th button", has_text="Result").click()
    column = page.locator("#s0 .trades tbody tr td:nth-child(10)").all_text_contents()
    results = [float(text.replace(",", "").replace("\u2212", "-")) for text in column]
    assert results == sorted(results, reverse=True)


def test_the_trade_list_says_what_was_guessed_inside_a_bar_and_only_then(browser, path, builder, tmp_path):
    page = Opened(browser, path, viewport={"width": 1280, "height": 900}).page
    assert "Inside a bar" not in page.locator("#s0 .scroll.trades thead").inner_text()
    account = {"stop_loss_rate": 0.004, "take_profit_rate": 0.004}
    backtest = builder.backtest(Setting(markets=(Market("BTCUSDT", n_bars=2_400),), account=account))
    manifest = VizJob(builder.lake).run(viz_call(backtest), Report())
    guessed = tmp_path / "guessed.html"
    guessed.write_bytes(builder.lake.read_bytes(builder.lake.entry(manifest, "report.html")))
    page = Opened(browser, guessed, viewport={"width": 1280, "height": 900}).page
    assert "Inside a bar" in page.locator("#s0 .scroll.trades thead").inner_text()
    assert "Guessed inside a bar" in page.locator("#s0").inner_text()
    assert page.locator("#s0 .scroll.trades tbody tr td", has_text="a guess").count() > 0


def test_the_theme_button_repaints_page_and_charts(browser, path):
    page = Opened(browser, path, color_scheme="light", viewport={"width": 1280, "height": 900}).page
    page.get_by_role("button", name="Dark").click()
    red = page.evaluate("Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])")
    assert red < 40
    assert page.get_by_role("button", name="Light").is_visible()


def test_on_paper_the_charts_are_pictures_and_afterwards_charts_again(browser, path):
    opened = Opened(browser, path, viewport={"width": 1280, "height": 900})
    assert opened.page.pdf(format="A4")[:4] == b"%PDF"
    opened.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert opened.page.locator("#s0 .chart img.on-paper").count() == 1
    opened.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert opened.page.locator(".chart img.on-paper").count() == 0
    assert opened.said == []


@pytest.mark.parametrize(
    ("setting", "request_"),
    [
        (Setting(markets=[Market("BTCUSDT", n_bars=1)], parameters={}), {}),
        (Setting(markets=[Market("BTCUSDT", n_bars=60, flat=True)], parameters={"fast": (3, 5)}), {}),
        (Setting(markets=[Market("BTCUSDT", n_bars=3_000, every_us=300_000, irregular=True)]), {"max_candles": 100}),
        (Setting(markets=[Market("<script>alert(1)</script>", n_bars=90)]), {"title": "<img src=x onerror=alert(1)>"}),
    ],
    ids=["one bar", "a flat market", "dense bars merged", "hostile names"],
)
def test_small_odd_and_hostile_reports_are_as_quiet(browser, builder, tmp_path, setting, request_):
    manifest = VizJob(builder.lake).run(viz_call(builder.backtest(setting), **request_), Report())
    file = tmp_path / "report.html"
    file.write_bytes(builder.lake.read_bytes(builder.lake.entry(manifest, "report.html")))
    opened = Opened(browser, file, viewport={"width": 1000, "height": 800})
    assert (opened.said, opened.outside()) == ([], [])
    assert opened.page.locator("article img, h1 img, h1 script").count() == 0


def test_a_foreign_script_in_the_page_would_not_run(browser, path, tmp_path):
    changed = tmp_path / "changed.html"
    changed.write_text(path.read_text().replace("<footer>", "<script>document.title = 'taken'</script><footer>"))
    try:
        opened = Opened(browser, changed)
    except Error as error:
        pytest.fail(str(error))
    assert opened.page.title() != "taken"
    assert any("Content Security Policy" in text for text in opened.said)
