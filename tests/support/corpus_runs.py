"""Runs of the whole corpus of pipelines on a stack, for each engine that takes them one task at a time."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg

from nodewise.core.store.addresses import safe_segment
from tests.support.dynamic_runs import FACTS, compiled_documents
from tests.support.package_index import package_index
from tests.support.stack import HEADERS, RunningStack
from tests.support.waiting import wait_until
from tests.unit.core_ir.corpus.case import Case
from tests.unit.core_ir.corpus.every import CASES

PATIENCE = 900.0
NO_INDEX = "https://index.example/simple"
# Its words are those of the corpus's container component.
TRAIN = 'echo weights > "$7"; echo 0.5 > "$9"'

# The attempt's folder ends with run, path and number; whoever reads this in a source is that attempt.
_FAULT = """
import os as _os
_, _path, _number = _os.environ["NODEWISE_ATTEMPT"].rsplit("/", 2)
if int(_number) <= {failing}.get(_path, 0):
    raise RuntimeError("this attempt is to fail")
"""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A run at its end: the API's words, its tasks' states by path, and the inputs that they were given."""

    run: Mapping[str, Any]
    states: Mapping[str, str]
    inputs: Mapping[str, Mapping[str, Any]]


def ended_runs(
    stack: RunningStack, folder: Path, *, engine: str, indices: Iterable[int]
) -> Mapping[int, Ended]:
    """Those pipelines of the corpus, submitted at once and waited for."""
    with (
        package_index(folder / "index") as index_,
        httpx.Client(base_url=stack.api_url, headers=HEADERS, timeout=30) as http,
    ):
        index_.add("pandas", "2.1", "")
        index_.add("six", "1.0", "")
        runs = {index: _submitted(http, CASES[index], index_.url, engine) for index in indices}

        def over() -> bool:
            with psycopg.connect(stack.database_url) as connection:
                found = connection.execute(
                    "SELECT count(*) FROM runs WHERE id = ANY(%s::uuid[]) AND finished_at IS NULL",
                    (list(runs.values()),),
                ).fetchone()
            return found == (0,)

        wait_until(over, PATIENCE, "all runs of the corpus to end", every=0.5)
        return {index: _ended(http, stack, run_id) for index, run_id in runs.items()}


def check_as_documented(case: Case, end: Ended) -> None:
    """The run, its tasks, its outputs and what they were given are as KFP documents it."""
    assert end.run["state"] == case.outcome, end.run["error"]
    assert _of_state(end, "SUCCEEDED") == set(case.succeeded.split())
    assert _of_state(end, "FAILED") == set(case.failed.split())
    assert _of_state(end, "SKIPPED") == set(case.skipped.split())
    assert set(end.states.values()) <= {"SUCCEEDED", "FAILED", "SKIPPED"}
    for name, value in case.outputs.items():
        expected = end.run["id"] if value == FACTS.run_id else value
        assert end.run["outputs"]["parameters"][name] == expected
    for path, wanted in case.given.items():
        assert {name: end.inputs[path].get(name) for name in wanted} == wanted


def _submitted(http: httpx.Client, case: Case, index: str, engine: str) -> str:
    ir, platforms = compiled_documents(case.pipeline)
    body = {
        "pipeline_spec": _with_faults(_runnable(ir, index), case.failures),
        "parameters": dict(case.parameters),
        "cache": False,
        "name": FACTS.name,
        "engine": engine,
    }
    if platforms:
        body["platform_spec"] = platforms
    answer = http.post("/v1/runs", json=body)
    assert answer.status_code == 202, f"{case.name}: {answer.text}"
    return str(answer.json()["id"])


def _runnable(ir: dict[str, Any], index: str) -> dict[str, Any]:
    """The pipeline with a program, a package index and no accelerator in place of those that are nowhere."""
    for executor in ir["deploymentSpec"]["executors"].values():
        container = executor.get("container", {})
        container.get("resources", {}).pop("accelerator", None)
        words = container.get("command", [])
        words[:] = [TRAIN if word == "train" else word.replace(NO_INDEX, index) for word in words]
    return ir


def _with_faults(ir: dict[str, Any], failures: Mapping[str, int]) -> dict[str, Any]:
    """The pipeline with components whose first attempts fail, where the case says so."""
    if not failures:
        return ir
    failing = {safe_segment(path): count for path, count in failures.items()}
    for executor in ir["deploymentSpec"]["executors"].values():
        command = executor.get("container", {}).get("command")
        if command:
            command[-1] = _FAULT.format(failing=json.dumps(failing)) + command[-1]
    return ir


def _ended(http: httpx.Client, stack: RunningStack, run_id: str) -> Ended:
    with psycopg.connect(stack.database_url) as connection:
        rows = connection.execute(
            "SELECT path, state, inputs FROM tasks WHERE run_id = %s", (run_id,)
        ).fetchall()
    return Ended(
        run=http.get(f"/v1/runs/{run_id}").json(),
        states={path: state for path, state, _ in rows},
        inputs={path: inputs["parameters"] for path, _, inputs in rows if inputs},
    )


def _of_state(end: Ended, state: str) -> set[str]:
    return {path for path, found in end.states.items() if found == state}
