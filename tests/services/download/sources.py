"""Small archives for tests, and what a reader finds in them."""

import io
import zipfile
from datetime import date
from hashlib import sha256
from pathlib import Path

from services.download.adapters.ingest import Source, ingest
from services.download.domain.layouts import layout_of
from services.download.domain.quality import Quality
from tickloom.contracts.artifact import Part
from tickloom.lake import Lake

DAY = date(2024, 1, 5)
T0 = 1704412800000  # 2024-01-05T00:00:00Z in ms


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def checksum(data: bytes, name: str) -> str:
    return f"{sha256(data).hexdigest()}  {name}"


def trade(i: int, ts: int | None = None, price: str = "100.5", quantity: str = "0.25", maker: str = "True") -> str:
    return f"{i},{price},{quantity},25.125,{T0 + 1000 * i if ts is None else ts},{maker},True\n"


def read(
    lake: Lake,
    text: str | bytes,
    data_type: str = "trades",
    interval: str = "",
    market: str = "spot",
    first: date = DAY,
    last: date = DAY,
) -> Part:
    """Ingest a text as if it had come out of an archive."""
    data = text.encode() if isinstance(text, str) else text
    source = Source("TEST.zip", "BTCUSDT", layout_of(market, data_type), interval, first, last, "TEST")
    with lake.scratch() as scratch:
        return ingest(lake, scratch, source, [data], Quality("TEST.zip", "", "", len(data)))


def table(lake: Lake, part: Part, index: int = 0) -> dict[str, list[object]]:
    return lake.read_table(part.files[index]).to_pydict()


def own_lake(folder: Path) -> Lake:
    return Lake(str(folder / "lake"))
