"""Other people's schedulers and workflows, run by scripts in an environment of their own (`.venv-bench`).

Their dependencies may contradict ours, so nothing of theirs is imported here: problems go there and schedules come back
as JSON, and every schedule is checked here.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodewise.core.model.ids import NodeName
from nodewise.core.model.problem import Assignment, Problem, Schedule, TaskId
from nodewise.simulator.document import document
from nodewise.simulator.scenario import Scenario

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".venv-bench" / "bin" / "python"
PACKAGES = ("anrg-saga", "wfcommons")
_HERE = Path(__file__).parent


class NoPeers(Exception):
    """The peers' environment is not there, or one of its scripts failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAnswer:
    """What a peer's scheduler said of a problem: a schedule, or in words why there is none."""

    scheduler: str
    seconds: float
    schedule: Schedule | None
    error: str = ""


def versions() -> dict[str, str]:
    """The peers' installed versions.

    Raises:
        NoPeers: They are not installed.
    """
    code = (
        f"import importlib.metadata as m, json; print(json.dumps({{p: m.version(p) for p in {PACKAGES!r}}}))"
    )
    found: dict[str, str] = json.loads(_run(["-c", code]))
    return found


def workflows(sizes: Sequence[int], seed: int) -> list[dict[str, Any]]:
    """A workflow of each recipe and size, as `wfcommons_worker.py` describes it."""
    script = str(_HERE / "wfcommons_worker.py")
    found: list[dict[str, Any]] = json.loads(_run([script, str(seed), *map(str, sizes)]))
    return found


def schedules(
    problems: Mapping[str, Problem], *, limit: float, processes: int
) -> dict[str, list[PeerAnswer]]:
    """What each of SAGA's schedulers makes of each problem, `limit` seconds for one answer.

    A scheduler that ran out of time is not asked about larger problems. Each process gets every n-th problem by size.
    """
    by_size = sorted(problems, key=lambda name: _size(problems[name]))
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder) / f"out{k}.json" for k in range(processes)]
        running = []
        for k, output in enumerate(outputs):
            asked = {name: _asked(problems[name]) for name in by_size[k::processes]}
            source = output.with_suffix(".in")
            source.write_text(json.dumps(asked), encoding="utf-8")
            script = str(_HERE / "saga_worker.py")
            running.append(_start([script, str(source), str(output), str(limit)]))
        for process in running:
            _finish(process)
        found: dict[str, Any] = {}
        for output in outputs:
            found |= json.loads(output.read_text(encoding="utf-8"))
    return {name: [_answer(scheduler, said) for scheduler, said in found[name].items()] for name in problems}


def _size(problem: Problem) -> int:
    return len(problem.nodes) * sum(len(pipeline.tasks) for pipeline in problem.pipelines)


def _asked(problem: Problem) -> dict[str, Any]:
    return document(Scenario(truth=problem, believed=problem))


def _answer(scheduler: str, said: Mapping[str, Any]) -> PeerAnswer:
    schedule = None
    if "schedule" in said:
        found = [
            Assignment(
                id=TaskId(pipeline=pipeline, task=task),
                node=NodeName(node),
                start=float(start),
                end=float(end),
            )
            for pipeline, task, node, start, end in said["schedule"]
        ]
        schedule = Schedule(assignments={one.id: one for one in found})
    return PeerAnswer(
        scheduler=scheduler, seconds=said["seconds"], schedule=schedule, error=said.get("error", "")
    )


def _start(arguments: Sequence[str]) -> "subprocess.Popen[str]":
    if not PYTHON.exists():
        raise NoPeers("the peers are not installed; `make bench-placement` installs them into .venv-bench")
    # Sets are walked in an order that depends on the hashes of strings: with one seed, equal calls give equal answers.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.Popen(
        [str(PYTHON), "-W", "ignore", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment | {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"},
        cwd=ROOT,
    )


def _finish(process: "subprocess.Popen[str]") -> str:
    output, errors = process.communicate()
    if process.returncode:
        raise NoPeers(f"a peer's script ended with {process.returncode}: {errors.strip()[-500:]}")
    return output


def _run(arguments: Sequence[str]) -> str:
    return _finish(_start(arguments))
