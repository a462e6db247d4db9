import base64
import hashlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.viz.adapters.page import embedded_json
from tests.services.viz.lakes import Market, Setting, certificate, record

HOSTILE = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def hostile_page(draw):
    setting = Setting(
        markets=[Market("<script>alert(2)</script>", n_bars=80), Market('"><img src=x>', n_bars=80)],
        parameters={"fast": (3, 5), "slow": (9, 12)},
        rule="close > 1 /* <script>alert(3)</script> */",
        certificates=[certificate("<script>alert(5)</script>", "<i>", "D", reasons=["<img src=y>"])],
        quality=[record("<b onclick=alert(4)>.zip", 10, time_unit="<i>")],
    )
    return draw(setting, title=HOSTILE)["report.html"].decode()


def own_tags(page):
    return len(re.findall(r"<script", page, re.I)), len(re.findall(r"<img", page, re.I))


def test_hostile_names_leave_no_raw_tag(hostile_page):
    library_free = re.sub(r"<script>.*</script>", "<script></script>", hostile_page, flags=re.S)
    assert own_tags(library_free) == (2, 0)  # the data and the program
    assert "<b onclick" not in hostile_page
    assert "<i>" not in library_free.replace("<i></i>", "")
    assert "&lt;script&gt;alert(3)" in library_free


def test_only_the_script_of_this_hash_may_run(hostile_page):
    script = re.search(r"<script>(.*)</script>", hostile_page, re.S).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', hostile_page).group(1)
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]


def test_the_page_refers_to_nothing_outside_but_the_chart_librarys_maker(hostile_page):
    attributes = re.findall(r'(?:src|href)="([^"]*)"', re.sub(r"<script>.*</script>", "", hostile_page, flags=re.S))
    assert set(attributes) == {"data:,", "#quality", "https://www.tradingview.com/"}
    assert "TradingView Lightweight Charts" in hostile_page.split("<footer>")[1]


@given(
    st.recursive(st.text(max_size=20), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner))
)
def test_embedded_json_cannot_end_its_element_and_comes_back(value):
    text = embedded_json(value)
    assert not set(text) & set("<>&\u2028\u2029")
    assert json.loads(text) == value


def test_undefined_metrics_say_why(draw):
    page = draw(Setting(markets=[Market("BTCUSDT", n_bars=3)], parameters={}))["report.html"].decode()
    assert 'title="Not available: there was no trade"' in page
    assert not re.search(r">\s*(nan|inf|None|null)\s*<", page)
