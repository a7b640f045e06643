"""Runs as the API server keeps them: a row per run, beside the workflows that are in the cluster."""

import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.support.kfp_server.clock import Clock
from tests.support.kfp_server.listing import allowed, page
from tests.support.kfp_server.shape import dense, internal, invalid, not_found, precondition, stamp
from tests.support.kfp_server.workflow import Workflow

_BODY = frozenset(
    {
        "run_id", "experiment_id", "display_name", "description", "pipeline_spec", "runtime_config",
        "service_account", "pipeline_version_reference", "pipeline_version_id", "recurring_run_id",
        "storage_state", "plugins_input",
    }
)  # fmt: skip
_FINAL = {"Succeeded": "SUCCEEDED", "Failed": "FAILED", "Error": "FAILED"}
_STOPPABLE = {"PENDING", "RUNNING", "PAUSED"}
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "STRING": str, "NUMBER_INTEGER": (int, float), "NUMBER_DOUBLE": (int, float), "BOOLEAN": bool,
    "LIST": list, "STRUCT": dict,
}  # fmt: skip


@dataclass(slots=True, eq=False, kw_only=True)
class RunRow:
    body: Mapping[str, Any]
    run_id: str
    experiment_id: str
    workflow: Workflow
    created: datetime
    state: str = "PENDING"
    storage_state: str = "AVAILABLE"
    finished: datetime | None = None
    manifest: str = ""
    details: list[dict[str, Any]] = field(default_factory=list)
    history: list[tuple[datetime, str]] = field(default_factory=list)

    def __getitem__(self, column: str) -> Any:
        """A column of KFP's table of runs."""
        return _COLUMNS[column](self)


def _body(name: str) -> Callable[[RunRow], str]:
    return lambda row: row.body.get(name) or ""


_COLUMNS: Mapping[str, Callable[[RunRow], str]] = {
    "run_id": lambda row: row.run_id,
    "id": lambda row: row.run_id,
    "display_name": lambda row: str(row.body["display_name"]),
    "name": lambda row: str(row.body["display_name"]),
    "created_at": lambda row: stamp(row.created),
    "scheduled_at": lambda row: stamp(row.created),
    "finished_at": lambda row: stamp(row.finished),
    "storage_state": lambda row: row.storage_state,
    "state": lambda row: row.state,
    "experiment_id": lambda row: row.experiment_id,
    "namespace": lambda _: "",
    "recurring_run_id": _body("recurring_run_id"),
    "description": _body("description"),
}


StartWorkflow = Callable[..., Workflow]


class Runs:
    """The table of runs. `workflows` are all that were ever started: more than rows, when a run was posted twice."""

    def __init__(self, clock: Clock, start: StartWorkflow) -> None:
        self.rows: dict[str, RunRow] = {}
        self.workflows: list[Workflow] = []
        self._by_state: defaultdict[str, dict[str, RunRow]] = defaultdict(dict)
        self._clock = clock
        self._start = start

    def create(self, body: Mapping[str, Any], experiment_id: str) -> dict[str, Any]:
        """Start a workflow, then write the row: a second post of one id leaves a second workflow behind."""
        unknown = set(body) - _BODY
        if unknown:
            raise invalid(f'unknown field "{min(unknown)}"')
        if not body.get("display_name"):
            raise invalid("The run name is empty. Please specify a valid name")
        pipeline = _pipeline(body.get("pipeline_spec"))
        parameters = (body.get("runtime_config") or {}).get("parameters") or {}
        _check_parameters(pipeline[0], parameters)
        run_id = body.get("run_id") or str(uuid.uuid4())
        try:
            workflow = self._start(run_id=run_id, pipeline=pipeline, parameters=parameters)
        except (ValueError, KeyError) as error:
            raise invalid(f"Failed to generate the ExecutionSpec: {error}") from error
        self.workflows.append(workflow)
        if run_id in self.rows:
            raise internal(f"Failed to store run {body['display_name']} to table: Duplicate entry")
        row = RunRow(
            body=body, run_id=run_id, experiment_id=experiment_id, workflow=workflow, created=self._clock.now
        )
        row.history.append((row.created, "PENDING"))
        self.rows[run_id] = self._by_state[row.state][run_id] = row
        return self.shown(row)

    def report(self) -> None:
        """What the persistence agent does: bring what the workflows are into the rows."""
        for row in self.rows.values():
            if row.finished is not None and row.workflow.finished is not None:
                continue
            workflow = row.workflow
            row.manifest, row.details = workflow.manifest(), workflow.task_details()
            if workflow.finished is not None:
                row.finished = workflow.finished
                self._become(row, _FINAL[workflow.phase])
            elif row.state != "CANCELING":
                self._become(row, "RUNNING")

    def row(self, run_id: str) -> RunRow:
        if run_id not in self.rows:
            raise not_found("Run", run_id)
        return self.rows[run_id]

    def terminate(self, run_id: str) -> None:
        row = self.row(run_id)
        if row.state not in _STOPPABLE:
            raise invalid(f"Failed to terminate a run {run_id}. Row not found")
        self._become(row, "CANCELING")
        row.workflow.terminate()

    def retry(self, run_id: str) -> None:
        row = self.row(run_id)
        if row.state != "FAILED":
            raise invalid(f"Failed to retry run {run_id}: only failed runs can be retried")
        row.workflow.retry()
        row.finished = None
        self._become(row, "PENDING")

    def store(self, run_id: str, storage_state: str) -> None:
        self.row(run_id).storage_state = storage_state

    def delete(self, run_id: str) -> None:
        self.row(run_id).workflow.delete()
        row = self.rows.pop(run_id)
        del self._by_state[row.state][run_id]

    def listed(self, query: Mapping[str, str]) -> dict[str, Any]:
        rows = self._indexed(allowed(query, "state"))
        if query.get("experiment_id"):
            rows = [row for row in rows if row.experiment_id == query["experiment_id"]]
        found = page(rows, query, key="run_id", fields=frozenset(_COLUMNS))
        shown = [self.shown(row) for row in found.pop("rows")]
        return dense({"runs": shown, **found})

    def _indexed(self, states: frozenset[str] | None) -> list[RunRow]:
        """The rows in these states (None: all). What else there is costs nothing, so that what is timed is who asks."""
        if states is None:
            return list(self.rows.values())
        return [row for state in states for row in self._by_state[state].values()]

    def _become(self, row: RunRow, state: str) -> None:
        if state == row.state:
            return
        del self._by_state[row.state][row.run_id]
        self._by_state[state][row.run_id] = row
        row.state = state
        row.history.append((self._clock.now, state))

    def shown(self, row: RunRow) -> dict[str, Any]:
        """The run as v2beta1 shows it."""
        error = {"code": 13, "message": row.workflow.message} if row.workflow.message else None
        return dense(
            {
                **{
                    name: row.body.get(name)
                    for name in ("description", "service_account", "recurring_run_id")
                },
                "experiment_id": row.experiment_id,
                "run_id": row.run_id,
                "display_name": row.body["display_name"],
                "storage_state": row.storage_state,
                "pipeline_spec": row.body["pipeline_spec"],
                "runtime_config": dense(dict(row.body.get("runtime_config") or {})),
                "created_at": stamp(row.created),
                "scheduled_at": stamp(row.created),
                "finished_at": stamp(row.finished),
                "state": row.state,
                "error": error if row.state == "FAILED" else None,
                "run_details": dense({"task_details": [dense(one) for one in row.details]}),
                "state_history": [{"update_time": stamp(at), "state": state} for at, state in row.history],
            }
        )

    def shown_v1(self, row: RunRow) -> dict[str, Any]:
        """The run as v1beta1 shows it, with the workflow once that was reported."""
        run = {
            "id": row.run_id,
            "name": row.body["display_name"],
            "created_at": stamp(row.created),
            "scheduled_at": stamp(row.created),
            "finished_at": stamp(row.finished),
            "status": row.state.capitalize(),
        }
        return {"run": run, "pipeline_runtime": dense({"workflow_manifest": row.manifest})}


def _pipeline(given: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    if not isinstance(given, dict):
        raise invalid("the pipeline spec is empty")
    ir = given.get("pipeline_spec", given)
    platforms = given.get("platform_spec", {}).get("platforms", {})
    if ir.get("schemaVersion") != "2.1.0":
        raise invalid(f"unknown template format: schemaVersion {ir.get('schemaVersion')!r}")
    if not ir.get("root", {}).get("dag", {}).get("tasks"):
        raise invalid("the root DAG has no tasks")
    for component in [ir["root"], *ir.get("components", {}).values()]:
        if any("artifactIterator" in task for task in component.get("dag", {}).get("tasks", {}).values()):
            raise invalid("artifact iterator not implemented yet")
    return ir, platforms


def _check_parameters(ir: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    declared = ir["root"].get("inputDefinitions", {}).get("parameters", {})
    for name, value in given.items():
        if name not in declared:
            raise invalid(f"parameter {name} is not in the pipeline's inputs")
        kind = _TYPES[declared[name]["parameterType"]]
        if value is not None and (
            not isinstance(value, kind) or (kind is not bool and isinstance(value, bool))
        ):
            raise invalid(f"input parameter {name} requires type {declared[name]['parameterType']}")
    for name, spec in declared.items():
        if given.get(name) is None and "defaultValue" not in spec and not spec.get("isOptional"):
            raise invalid(f"parameter {name} has no value")


def experiment_must_be_available(storage_state: str) -> None:
    if storage_state == "ARCHIVED":
        raise precondition("the experiment must be un-archived first")
