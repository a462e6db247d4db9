"""A stage service whose behaviour the request chooses: what a worker may meet."""

import os
import time
from pathlib import Path

from tickloom.contracts.artifact import Manifest
from tickloom.contracts.events import StageCall
from tickloom.errors import InvalidRequest, Unavailable
from tickloom.http import Report, create_app, stage_router


class FakeJob:
    """Does what `request["do"]` says; leaves a line per call in the file `calls`."""

    def __init__(self, stage: str) -> None:
        self.stage = stage

    def run(self, call: StageCall, report: Report) -> Manifest:
        calls = Path(os.environ["FAKE_CALLS"])
        with calls.open("a") as file:
            file.write(f"{self.stage} {call.artifact_id[:8]} start\n")
        do = call.request.get("do", "work")
        earlier = calls.read_text().count(f"{self.stage} {call.artifact_id[:8]} start")
        if do == "die" or (do == "die once" and earlier == 1):
            os._exit(9)
        if do == "refuse":
            raise InvalidRequest("do", "refused")
        if do == "fail twice" and earlier <= 2:
            raise Unavailable()
        steps = int(call.request.get("steps", 1))
        for step in range(steps):
            report.progress(step, steps, rows=step * 100, message=f"step {step}")
            time.sleep(float(call.request.get("step_s", 0)))
        report.check()
        with calls.open("a") as file:
            file.write(f"{self.stage} {call.artifact_id[:8]} end\n")
        return Manifest(
            id=call.artifact_id, stage=self.stage, version=1, request=call.request, inputs=call.inputs, files=()
        )


app = create_app("fakes", *(stage_router(stage, FakeJob(stage)) for stage in ("download", "bars", "features")))
