"""Two places to keep a lake: a folder, and a bucket on a real S3 server of this machine."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tickloom.lake import Lake

BUCKET = "lake"


@dataclass(frozen=True)
class Place:
    url: str
    endpoint: str = ""

    def lake(self) -> Lake:
        return Lake(self.url, self.endpoint)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test"), ("REGION", "us-east-1")):
            patch.setenv(f"AWS_{name}", value)
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket=BUCKET)
        yield endpoint
        server.stop()


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return Place(str(tmp_path / "lake"))
    return Place(f"s3://{BUCKET}/{uuid4().hex}/deep", request.getfixturevalue("s3_server"))


@pytest.fixture
def lake(place: Place) -> Lake:
    return place.lake()
