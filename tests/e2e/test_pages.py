"""The pages in a browser without internet: quiet, asking nobody but the gateway, and showing what they should."""

import os
import signal

import pytest
import yaml
from playwright.sync_api import sync_playwright

from cli import runfile
from tests.e2e.browser import ARGS, COLOURS, Opened
from tests.processes import eventually, free_port, listens, process, uvicorn_command

HOSTILE = "<img src=x onerror=alert(1)> & <script>alert(2)</script>"
SECRET = "t" * 32
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
BROKEN = {
    "symbols": ["ETHUSDT"],
    "start_date": "2024-01-05",
    "end_date": "2024-01-05",
    "dataset": "trades_per_day=20,fault=checksum_wrong",
}


@pytest.fixture(scope="module")
def browser(chromium):
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=ARGS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def request_(small_config):
    return yaml.safe_load(small_config.read_text())


@pytest.fixture(scope="module")
def shown(system, request_):
    """A pipeline with a hostile name that succeeded, a download that failed, and one that was cancelled.

    The search is one that no other test has asked for: what is found has no trials to tell of.
    """
    search = {"backtest": request_["backtest"] | {"initial_cash": 7_777}}
    good = system.post("/submit_pipeline", request_ | search | {"name": HOSTILE})
    bad = system.post("/submit_download", BROKEN)
    gone = system.post("/submit_download", BROKEN | {"start_date": "2023-01", "end_date": "2023-12", "dataset": ""})
    system.http.delete(f"/tasks/{gone['task_id']}")
    assert system.ended(bad["task_id"])["state"] == "FAILURE"
    return {"good": system.done(good["task_id"]), "bad": bad, "gone": gone}


def front(browser, url, **context):
    opened = Opened(browser, url, **context)
    opened.page.wait_for_selector("body[data-ready=true]")
    return opened


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_front_page_is_quiet_and_asks_only_the_gateway(browser, system, shown, scheme, size):
    opened = front(browser, system.url, color_scheme=scheme, viewport=size)
    opened.until(lambda: opened.page.locator("#parts li").count() == 10)
    assert opened.said == []
    assert opened.hosts() == {system.url.removeprefix("http://")}
    assert opened.page.locator("#parts li.down").count() == 0
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shade = opened.page.evaluate("Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])")
    assert (shade < 60) == (scheme == "dark")


def test_names_from_outside_are_text_and_nothing_else(browser, system, shown):
    page = front(browser, system.url, viewport=WIDE).page
    assert page.locator(".task .name", has_text="onerror").first.inner_text() == HOSTILE
    assert page.locator("main img, main script").count() == 0


def test_a_failure_shows_its_error_and_the_next_step_and_a_success_its_report(browser, system, shown):
    page = front(browser, system.url, viewport=WIDE).page
    failed = page.locator(".task[data-state=FAILURE]", has_text="ETHUSDT 2024-01-05").first
    assert "checksum-mismatch" in failed.locator(".error").inner_text()
    assert failed.locator(".next").inner_text().startswith("Next: ")
    good = page.locator(".task", has_text="onerror").first
    assert good.locator(".stage").count() == 6
    made = shown["good"]["artifact_id"]
    assert good.locator("a.report").get_attribute("href") == f"/artifacts/{made}/files/report.html"
    assert good.locator(".stage a").last.get_attribute("href") == f"/artifacts/{made}"


def test_a_search_shows_its_trials_and_the_best_of_them(browser, system, shown):
    opened = front(browser, system.url, viewport=WIDE)
    stage = next(one for one in shown["good"]["stages"] if one["stage"] == "backtest")
    best = stage["best"]
    title = opened.page.locator(".task", has_text=HOSTILE).locator(".note").nth(4).get_attribute("title")
    assert f"{stage['trials']['done']} of {stage['trials']['total']} trials" in title
    of = ", ".join(f"{name} {value}" for name, value in best["parameters"].items())
    assert f"best {best['objective'].replace('_', ' ')} " in title
    assert f"({best['symbol']} {of})" in title


def test_a_task_whose_archives_were_replaced_says_so_beside_its_report(browser, system, shown):
    stale = {"since": "2026-01-01T00:00:00Z", "detail": "made from another archive", "next": "submit again"}
    stages = [stage | {"stale": stale} for stage in shown["good"]["stages"]]
    task = shown["good"] | {"stale": stale, "stages": stages, "warnings": ["made from another archive: submit again"]}
    page = browser.new_context(viewport=WIDE).new_page()
    page.route("**/tasks?*", lambda route: route.fulfill(json={"tasks": [task], "next": None}))
    page.goto(system.url)
    assert page.locator("a.report").inner_text() == "Report, stale"
    assert page.locator(".warnings li").inner_text() == "made from another archive: submit again"


def test_the_list_is_filtered_by_state(browser, system, shown):
    opened = front(browser, system.url, viewport=WIDE)
    page = opened.page
    page.get_by_role("button", name="Revoked", exact=True).click()
    opened.until(lambda: set(page.eval_on_selector_all(".task", "all => all.map(x => x.dataset.state)")) == {"REVOKED"})
    page.get_by_role("button", name="Failure", exact=True).click()
    opened.until(lambda: set(page.eval_on_selector_all(".task", "all => all.map(x => x.dataset.state)")) == {"FAILURE"})
    page.get_by_role("button", name="Retry", exact=True).click()
    opened.until(lambda: page.locator("#nothing").is_visible())
    assert page.locator("#nothing").inner_text() == "No task is RETRY."


def test_a_running_task_moves_and_is_cancelled_by_two_clicks(browser, system):
    opened = front(browser, system.url, viewport=WIDE)
    days = {"start_date": "2021-01", "end_date": "2021-12"}
    sent = system.post("/submit_download", BROKEN | days | {"dataset": "trades_per_day=20000,seed=8"})
    card = opened.page.locator(".task", has_text="ETHUSDT 2021-01 to 2021-12")
    opened.until(lambda: card.count() == 1)
    opened.until(lambda: card.locator(".share").inner_text() not in ("", "0 %"), 60)
    assert "rows/s" in card.locator(".note").inner_text()
    card.locator(".cancel").click()
    assert card.locator(".cancel").inner_text() == "Cancel for good?"
    card.locator(".cancel").click()
    opened.until(lambda: card.get_attribute("data-state") == "REVOKED")
    assert card.locator(".cancel").is_hidden()
    assert system.http.get(sent["status_url"]).json()["state"] == "REVOKED"


def test_a_gateway_that_goes_away_is_told_and_waited_for(browser, rayless):
    opened = front(browser, rayless.url, viewport=WIDE)
    os.kill(runfile.read(rayless.home).parts["gateway"]["pid"], signal.SIGKILL)
    opened.until(lambda: "does not answer" in opened.page.locator("#banner").inner_text())
    opened.until(lambda: opened.page.locator("#banner").is_hidden(), 90)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A gateway alone, with a token."""
    folder, port = tmp_path_factory.mktemp("guarded"), free_port()
    names = {"HOME": folder / "home", "API_TOKEN": SECRET, "RAY_ADDRESS": "off", "REDIS_PORT": free_port()}
    environment = {f"TICKLOOM_{name}": str(value) for name, value in (names | {"SIM_PORT": free_port()}).items()}
    with process(uvicorn_command("api_gateway.app:app", port), folder / "log", environment):
        eventually(lambda: listens(port), 60)
        yield f"http://localhost:{port}"


def test_a_token_is_asked_for_once_and_opens_tasks_and_documentation(browser, guarded):
    opened = front(browser, guarded, viewport=WIDE)
    page = opened.page
    assert page.locator("#sign-in").is_visible()
    assert page.locator("#signed-in").is_hidden()
    page.fill("#token", "not the token")
    page.click("#token-form button")
    opened.until(lambda: page.locator("#wrong").is_visible())
    page.fill("#token", SECRET)
    page.click("#token-form button")
    opened.until(lambda: page.locator("#empty").is_visible())
    assert "tickloom run configs/demo.yaml" in page.locator("#command-run").inner_text()
    assert "Authorization: Bearer $TICKLOOM_API_TOKEN" in page.locator("#command-curl").inner_text()
    assert SECRET not in page.content()
    page.reload()
    opened.until(lambda: page.locator("#empty").is_visible())
    page.get_by_role("link", name="API docs").click()
    opened.until(lambda: page.locator(".opblock").count() > 10)
    assert opened.hosts() == {guarded.removeprefix("http://")}


def test_with_a_token_a_report_is_fetched_with_it_and_saved(browser, guarded, shown):
    page = browser.new_context(viewport=WIDE, accept_downloads=True).new_page()
    task = shown["good"] | {"warnings": [HOSTILE], "state": "RETRY", "error": {"detail": HOSTILE, "next": HOSTILE}}
    asked = []

    def answer(route):
        asked.append(route.request.headers.get("authorization"))
        route.fulfill(body="<p>the report</p>", content_type="text/html")

    page.add_init_script(f"sessionStorage.setItem('tickloom-token', '{SECRET}')")
    page.route("**/tasks?*", lambda route: route.fulfill(json={"tasks": [task], "next": None}))
    page.route("**/artifacts/**", answer)
    page.goto(guarded)
    with page.expect_download() as saved:
        page.locator("a.report").click()
    assert saved.value.suggested_filename == "report.html"
    assert saved.value.path().read_text() == "<p>the report</p>"
    assert asked == [f"Bearer {SECRET}"]
    assert page.url == f"{guarded}/"
    assert page.locator(".warnings li").inner_text() == HOSTILE
    assert HOSTILE in page.locator(".error p").first.inner_text()
    assert page.locator("main img, main script").count() == 0


def test_the_documentation_without_a_token_leads_to_where_it_is_asked_for(browser, guarded):
    opened = Opened(browser, f"{guarded}/docs")
    opened.until(lambda: opened.page.url == f"{guarded}/" and opened.page.locator("#sign-in").is_visible())


def test_the_documentation_works_without_internet(browser, system):
    opened = Opened(browser, f"{system.url}/docs", viewport=WIDE)
    calls = [call for path in system.http.get("/openapi.json").json()["paths"].values() for call in path]
    opened.until(lambda: opened.page.locator(".opblock").count() == len(calls))
    opened.page.locator(".opblock", has_text="/healthz").locator(".opblock-summary").click()
    opened.page.get_by_role("button", name="Try it out").click()
    opened.page.get_by_role("button", name="Execute").click()
    opened.until(lambda: '"ok"' in opened.page.locator(".live-responses-table").first.inner_text())
    assert opened.said == []
    assert opened.hosts() == {system.url.removeprefix("http://")}


@pytest.mark.parametrize("how", ["gateway", "disk"])
def test_the_report_draws_its_charts_from_the_gateway_and_from_disk(browser, system, shown, tmp_path, how):
    run = system.client.run(shown["good"]["task_id"])
    if how == "gateway":
        url = f"{system.url}/artifacts/{run.artifact_id('viz')}/files/report.html"
    else:
        url = run.report(tmp_path / "out").as_uri()
    opened = Opened(browser, url, viewport=WIDE)
    opened.page.wait_for_selector("body[data-ready=true]")
    opened.until(lambda: opened.page.evaluate(COLOURS, ".symbol:not([hidden]) .chart canvas") > 10)
    assert opened.said == []
    assert len(opened.asked) == 1
    assert opened.page.locator(".heat .cell").count() == 4


def test_flower_shows_the_celery_tasks(browser, system, shown):
    flower = f"http://localhost:{system.ports['FLOWER']}"
    eventually(lambda: listens(system.ports["FLOWER"]), 60)
    counted = system.http.get(f"{flower}/metrics").text
    assert 'flower_events_total{task="tickloom.' in counted
    opened = Opened(browser, f"{flower}/tasks", viewport=WIDE)
    opened.until(lambda: opened.page.locator("table tbody tr", has_text="tickloom.").count() > 0)
    assert opened.page.locator("table tbody tr", has_text="SUCCESS").count() > 0
