"""What a fresh process pays before it reads its first trade."""

import subprocess
import sys

from tests.services.download.sources import trade

_READ = """
import sys
from pathlib import Path
from tests.services.download.sources import own_lake, read
read(own_lake(Path(sys.argv[1])), sys.argv[2])
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_a_fresh_process_reads_trades_without_importing_what_it_does_not_use(tmp_path):
    """A second and 60 MB in all; `pa.array` on a NumPy array is enough to import pandas."""
    text = trade(1, price="61837.63000000", quantity="0.00009000") + trade(2, maker="False")
    run = subprocess.run([sys.executable, "-c", _READ, str(tmp_path), text], capture_output=True, text=True, check=True)
    modules = set(run.stdout.split())
    assert {"numba", "pyarrow", "pydantic"} <= modules
    assert not modules & {"pandas", "polars", "ray", "httpx", "fastapi", "sqlalchemy", "pydantic_settings"}
