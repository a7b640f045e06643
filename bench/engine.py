"""Whole pipelines on the agents engine, beside the same pipelines under `kfp.local`'s SubprocessRunner.

From the submission over HTTP until a client sees the end, with four agents on this machine; the stack is started before, runs one
pipeline that is not timed (its services load and prepare at their first), and is stopped afterwards. `kfp.local` runs in a process
of its own, timed from the call of the pipeline, its imports left out.
"""

import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx
import yaml
from rich.console import Console
from rich.table import Table

from bench.measure import BenchFailed, save

ROOT = Path(__file__).parents[1]
REPEATS = {"fan_out_and_in": 9, "eight_naps": 3}
"""The first is over in half a second, and on a machine of two cores everything else shows in it."""
NAPS = 8
NAP_LIMIT_SECONDS = 2.0
_LOOK_SECONDS = 0.03
"""What we measure is too long by up to that; to ask more often would slow down what is measured."""
_PATIENCE_SECONDS = 120.0


def run() -> dict[str, object]:
    """Measure, print, save.

    Raises:
        BenchFailed: A pipeline failed, or took longer than its limit.
    """
    with _stack() as http:
        _on_agents(http, "fan_out_and_in")
        ours = {name: [_on_agents(http, name) for _ in range(times)] for name, times in REPEATS.items()}
    local = {name: [_locally(name) for _ in range(times)] for name, times in REPEATS.items()}
    figures: dict[str, object] = {
        name: {
            "agents_seconds": ours[name],
            "kfp_local_seconds": local[name],
            "ratio_of_medians": median(ours[name]) / median(local[name]),
        }
        for name in ours
    }
    _show(ours, local)
    path = save("engine", figures, others={"kfp": _version("kfp")})
    print(f"figures: {path.name}")
    _judge(ours, local)
    return figures


def _judge(ours: dict[str, list[float]], local: dict[str, list[float]]) -> None:
    if median(ours["fan_out_and_in"]) >= median(local["fan_out_and_in"]):
        raise BenchFailed("fan_out_and_in takes longer on the agents than under kfp.local")
    if median(ours["eight_naps"]) >= NAP_LIMIT_SECONDS:
        raise BenchFailed(f"{NAPS} naps of a second took {median(ours['eight_naps']):.2f} s")


@contextmanager
def _stack() -> Iterator[httpx.Client]:
    nodewise = Path(sys.executable).with_name("nodewise")
    with tempfile.TemporaryDirectory() as folder:
        home = ("--home", str(Path(folder) / "home"))
        subprocess.run([nodewise, "up", "--detach", *home], check=True, capture_output=True)
        try:
            found = yaml.safe_load((Path(folder) / "home" / "stack.json").read_text(encoding="utf-8"))
            key = (Path(folder) / "home" / "admin.key").read_text(encoding="utf-8").strip()
            headers = {"Authorization": f"Bearer {key}"}
            with httpx.Client(base_url=found["api_url"], headers=headers, timeout=30) as http:
                yield http
        finally:
            subprocess.run([nodewise, "down", *home], check=True, capture_output=True)


def _on_agents(http: httpx.Client, name: str) -> float:
    """Seconds from the submission of a pipeline until we see its end."""
    body = {"pipeline_spec": _compiled(name), "cache": False}
    start = time.perf_counter()
    run_id = http.post("/v1/runs", json=body).raise_for_status().json()["id"]
    while time.perf_counter() - start < _PATIENCE_SECONDS:
        found = http.get(f"/v1/runs/{run_id}").raise_for_status().json()
        if found["finished_at"] is not None:
            if found["state"] != "SUCCEEDED":
                raise BenchFailed(f"{name} ended {found['state']}: {found['error']}")
            return time.perf_counter() - start
        time.sleep(_LOOK_SECONDS)
    raise BenchFailed(f"{name} did not end in {_PATIENCE_SECONDS:g} s")


def _locally(name: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "bench.engine_locally", name],
            cwd=folder,
            env={"PATH": f"{Path(sys.executable).parent}:{os.defpath}", "PYTHONPATH": str(ROOT), "HOME": folder},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        raise BenchFailed(f"{name} failed under kfp.local: {done.stderr[-500:]}")
    return float(done.stdout.strip().splitlines()[-1])


def _compiled(name: str) -> object:
    warnings.simplefilter("ignore")
    from kfp import compiler  # noqa: PLC0415 - slow to import

    from bench import engine_pipelines  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(getattr(engine_pipelines, name), str(path))
        return yaml.safe_load(path.read_text(encoding="utf-8"))


def _show(ours: dict[str, list[float]], local: dict[str, list[float]]) -> None:
    table = Table(title="seconds from submission to end: median (least to most)")
    for heading in ("pipeline", "times", "agents engine", "kfp.local"):
        table.add_column(heading)
    for name, times in REPEATS.items():
        table.add_row(name, str(times), _spread(ours[name]), _spread(local[name]))
    Console().print(table)


def _spread(seconds: list[float]) -> str:
    return f"{median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


def _version(package: str) -> str:
    from importlib.metadata import version  # noqa: PLC0415

    return version(package)
