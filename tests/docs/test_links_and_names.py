"""What the documentation names is there: pages, files, tests, make targets, commands, settings."""

import re
import shutil
import subprocess

import pytest
from typer.main import get_command

from cli.main import app
from tests.docs.pages import ROOT, code, pages, prose
from tickloom.settings import Settings

LINK = re.compile(r"!?\[([^\]]*)\]\(([^)\s]+)\)")
OTHER_VARIABLES = {"TICKLOOM_SHARED_DATA"}
every_page = pytest.mark.parametrize("page", pages())


def links(page: str) -> list[tuple[str, str]]:
    pictures = [("", to) for to in re.findall(r'<img src="([^"]+)"', prose(page))]
    return [(text, to) for text, to in LINK.findall(prose(page)) + pictures if not re.match(r"(https?|mailto):", to)]


@every_page
def test_every_link_leads_somewhere(page):
    for _, target in links(page):
        path, _, anchor = target.partition("#")
        to = (ROOT / page).parent / path if path else ROOT / page
        assert to.resolve().is_relative_to(ROOT), f"{page} links out of the repository: {target}"
        assert to.exists(), f"{page} links to {target}, which is not there"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", to.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in anchors, f"{page} links to {target}; {to.name} has no such title"


@every_page
def test_every_test_that_is_named_exists(page):
    named = [(text, to) for text, to in links(page) if text.startswith("test_")]
    for name, to in named:
        text = ((ROOT / page).parent / to).read_text()
        assert re.search(rf"def {name}\b", text), f"{page}: {to} has no {name}"
    if page == "docs/promises.md":
        assert len(named) > 30


@every_page
def test_every_make_target_exists(page):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|&& )make ([a-z]+)", code(page), re.MULTILINE))
    assert named <= targets


@every_page
def test_every_command_exists(page):
    commands = set(get_command(app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"(?:^|bin/)tickloom ([a-z]+)\b", code(page), re.MULTILINE))
    assert named <= commands


@every_page
def test_every_setting_exists(page):
    known = {f"TICKLOOM_{name.upper()}" for name in Settings.model_fields} | OTHER_VARIABLES
    assert set(re.findall(r"\bTICKLOOM_[A-Z_]*[A-Z]\b", pages()[page])) <= known


def test_every_page_can_be_found_from_the_front_page():
    seen, waiting = set(), ["README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page not in pages():
            continue
        seen.add(page)
        for _, target in links(page):
            to = ((ROOT / page).parent / target.partition("#")[0]).resolve()
            if to.suffix == ".md":
                waiting.append(str(to.relative_to(ROOT)))
    assert set(pages()) - seen == set()


def test_every_decision_says_why_what_follows_and_what_else_there_was():
    for page, text in pages().items():
        if re.match(r"docs/adr/\d{4}-", page):
            titles = re.findall(r"^## (.+)$", text, re.MULTILINE)
            assert titles == ["Context", "Decision", "Consequences", "Alternatives"], page
            assert len(text.splitlines()) < 60, f"{page} is longer than a page"


def test_no_page_names_a_path_of_somebodys_machine():
    for page, text in pages().items():
        assert not re.search(r"(?<![\w.])/(home|root|work|Users)/\w", text), page


def test_the_licence_is_apache_2():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_shell_examples_are_shell():
    shell = shutil.which("bash")
    if shell is None:
        pytest.skip("no bash")
    for script in ("deploy/secrets.sh", "deploy/entrypoint.sh"):
        assert subprocess.run([shell, "-n", ROOT / script], capture_output=True).returncode == 0
