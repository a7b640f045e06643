"""A whole embedded stack for a measurement, as `nodewise up` starts it, and its gateway."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench.measure import BenchFailed
from bench.stack.serving import OPEN, SEED
from tests.support.stack import RunningStack
from tests.support.waiting import wait_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A stack that runs."""

    http: httpx.Client
    stack: RunningStack

    def submitted(self, body: Mapping[str, object]) -> str:
        """The id of a run that was accepted."""
        answer = self.http.post("/v1/runs", json=body).raise_for_status()
        return str(answer.json()["id"])

    def ended(self, run_id: str, *, seconds: float = 120.0, every: float = 0.05) -> dict[str, Any]:
        """The run, once it has succeeded.

        Raises:
            BenchFailed: It did not.
        """

        def look() -> dict[str, Any]:
            found: dict[str, Any] = self.http.get(f"/v1/runs/{run_id}").raise_for_status().json()
            return found if found["finished_at"] is not None else {}

        found = wait_until(look, seconds, f"run {run_id} to end", every=every)
        if found["state"] != "SUCCEEDED":
            raise BenchFailed(f"run {run_id} ended {found['state']}: {found['error']}")
        return found


@contextmanager
def whole_stack(*, agents: int, settle_seconds: float = 0.0) -> Iterator[Whole]:
    """The servers, the services and so many agents, in a temporary folder; ready, and left alone for a while."""
    with tempfile.TemporaryDirectory(prefix="nodewise-bench-") as folder:
        stack = RunningStack(
            home=Path(folder) / "home", agents=agents, env={**OPEN, "NODEWISE_SEED": str(SEED)}
        ).start()
        try:
            time.sleep(settle_seconds)
            with httpx.Client(base_url=stack.api_url, timeout=30) as http:
                yield Whole(http=http, stack=stack)
        finally:
            stack.stop()
