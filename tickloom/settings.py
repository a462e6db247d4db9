"""The environment, read in this one place.

Every setting is an environment variable `TICKLOOM_<NAME>`. A setting says where things are and how hard to try; what
changes a result belongs to a request, never here.
"""

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where the parts are, and how hard to try."""

    model_config = SettingsConfigDict(env_prefix="TICKLOOM_", frozen=True)

    home: Path = Field(Path(".tickloom"), description="folder of the lake, the ledger, logs and run files")
    lake_url: str = Field("", description="folder or s3://bucket/prefix; empty: <home>/lake")
    lake_s3_endpoint: str = Field("", description="address of an S3 server that is not Amazon's")
    ledger_url: str = Field("", description="SQLAlchemy URL; empty: SQLite in <home>/ledger.sqlite")
    broker_url: str = Field("", description="Redis URL; empty: the embedded server on redis_port")
    ray_address: str = Field(
        "",
        description="host:port of a Ray head on this machine, or ray://host:port of one elsewhere (Ray Client); "
        "empty: 127.0.0.1:<ray_port>; 'off': local pool",
    )
    import_dir: Path = Field(Path("imports"), description="the one folder that `venue: file` may read")

    url: str = Field("", description="where clients find the gateway; empty: http://127.0.0.1:<gateway_port>")
    host: str = "127.0.0.1"
    gateway_port: int = 8000
    services_port: int = 8100
    redis_port: int = 6390
    ray_port: int = 6380
    ray_dashboard_port: int = 8265
    flower_port: int = 5555
    sim_port: int = 8900

    venue: Literal["binance", "sim"] = "binance"
    binance_archive_url: str = "https://data.binance.vision"
    binance_api_url: str = Field("https://data-api.binance.vision", description="public data of spot, for anybody")
    binance_spot_url: str = Field("https://api.binance.com", description="what the public-data address leaves out")
    binance_usdm_url: str = "https://fapi.binance.com"
    binance_coinm_url: str = "https://dapi.binance.com"
    sim_url: str = Field("", description="address of exchange_sim; empty: http://127.0.0.1:<sim_port>")

    requests_per_minute: dict[str, int] = Field(
        default_factory=dict,
        description="JSON: host[:port] -> requests, or their weight, that all processes together may ask of it in a "
        "minute; a host left out has its default in tickloom/limiter.py",
    )

    service_urls: dict[str, str] = Field(
        default_factory=dict, description="JSON: stage -> base URL; a stage left out is on services_port"
    )
    service_token_file: Path = Field(Path(), description="secret between our own parts; empty: <home>/service_token")
    api_token: str = Field("", description="bearer token asked of clients; required for a public bind")
    behind_proxy: bool = Field(False, description="a TLS proxy stands before a public bind")
    allowed_hosts: str = Field("localhost,127.0.0.1,[::1]", description="Host headers that the gateway answers to")

    strategies_allow: str = Field(
        "", description="installed Python strategies that may run, by the names of their entry points, with commas"
    )

    worker_threads: int = 8
    lease_s: float = 30.0
    reconcile_s: float = 5.0
    max_attempts: int = 3
    stream_timeout_s: float = Field(15.0, description="silence after which a service counts as dead")
    task_deadline_s: float = Field(
        900.0, description="time after which a task is given up; one that tells of its progress: after its last word"
    )
    cpus: int = Field(0, description="CPUs to use; 0: all")

    def lake(self) -> str:
        return self.lake_url or str((self.home / "lake").resolve())

    def ledger(self) -> str:
        return self.ledger_url or f"sqlite:///{(self.home / 'ledger.sqlite').resolve()}"

    def broker(self) -> str:
        """Return the URL of the queue; the embedded server's password is in <home>/redis_password."""
        if self.broker_url:
            return self.broker_url
        try:
            login = f":{(self.home / 'redis_password').read_text().strip()}@"
        except OSError:
            login = ""
        return f"redis://{login}127.0.0.1:{self.redis_port}/0"

    def ray(self) -> str:
        return self.ray_address or f"127.0.0.1:{self.ray_port}"

    def ray_endpoint(self) -> tuple[str, int]:
        """Return the host and port at which the Ray head answers, to look whether it is there."""
        host, _, port = self.ray().removeprefix("ray://").rpartition(":")
        return host, int(port)

    def sim(self) -> str:
        return self.sim_url or f"http://127.0.0.1:{self.sim_port}"

    def gateway(self) -> str:
        return self.url.rstrip("/") or f"http://127.0.0.1:{self.gateway_port}"

    def service(self, stage: str) -> str:
        return self.service_urls.get(stage, f"http://127.0.0.1:{self.services_port}")

    def token_file(self) -> Path:
        return self.service_token_file if self.service_token_file != Path() else self.home / "service_token"


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the settings of this process. Tests clear the cache after they change the environment."""
    return Settings()
