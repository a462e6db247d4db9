"""The run by the gateway: how much is asked for, what is seen of memory, and what is written down."""

import subprocess
import sys
import zipfile

import psutil

from benchmarks import whole
from benchmarks.memory import Kind, Watch, watched

HOLD = "import sys; held = b'x' * {size}; print(1, flush=True); sys.stdin.read({until})"


def test_the_dataset_has_as_many_trades_as_were_asked_for_and_the_archives_have_them(tmp_path):
    dataset = whole.dataset_of(20_000)
    assert 20_000 <= whole.expected(dataset) < 20_200
    assert whole.make_archives(tmp_path, dataset) > 0
    found = 0
    for path in tmp_path.rglob("*-trades-*.zip"):
        with zipfile.ZipFile(path) as zipped:
            found += zipped.read(zipped.namelist()[0]).count(b"\n")
    assert found == whole.expected(dataset)
    assert len([*tmp_path.rglob("*-1m-*.zip")]) == len(whole.SYMBOLS)


def test_a_hundred_million_are_a_hundred_million():
    assert 0 <= whole.expected(whole.dataset_of(10**8)) - 10**8 < 10_000


def test_the_memory_of_a_process_is_seen_and_what_it_gave_back_is_not_forgotten():
    command = [sys.executable, "-c", HOLD.format(size=200_000_000, until=1) + "; del held; print(2, flush=True); "
               "sys.stdin.read()"]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        seen = psutil.Process(process.pid)
        with watched(lambda watch: watch.look([seen, seen], lambda _: "holder")) as watch:
            process.stdin.write("x")
            process.stdin.flush()
            process.stdout.readline()
        process.kill()
    kind = watch.kinds["holder"]
    assert kind.n == 2
    assert 200 < kind.rss_mb < 400
    assert kind.pss_mb > 1
    assert watch.total_pss_mb >= kind.pss_mb


def test_a_process_that_has_gone_is_passed_over():
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        gone = psutil.Process(process.pid)
    watch = Watch()
    watch.look([gone], lambda _: "gone")
    assert watch.kinds == {}


def test_the_record_names_stages_and_processes():
    watch = Watch({"raylet": Kind(1, 33.2, 18.4), "ray: worker": Kind(3, 390, 219)}, 1763)
    stages = [whole.Stage("download", 10, 1_000_000, "4 MB"), whole.Stage("tick bars", 5, 1_000_000, "7 bars")]
    text = whole.render(stages, watch, 12, 94_000_000)
    assert "# 1 million trades by the gateway" in text
    assert "| download | 10.0 | 0.1 | 4 MB |" in text
    assert "| all | 15.0 | 0.1 | |" in text
    assert text.index("| ray: worker | 3 | 390 | 219 |") < text.index("| raylet | 1 | 33 | 18 |")
    assert "| all together | | | 1,763 |" in text
