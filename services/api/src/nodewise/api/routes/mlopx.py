"""The seed system's two endpoints, for its client mlopx as it is published: scripts are read as text and run like any submission."""

from dataclasses import dataclass
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Request

from nodewise.api.account import on_account
from nodewise.api.auth.caller import Called
from nodewise.api.forms import read_form
from nodewise.api.problems import Fault, Problem
from nodewise.api.requests import submit_request
from nodewise.api.routes.documented import problems
from nodewise.api.routes.lookup import RunIdPath, run_of
from nodewise.api.routes.taking import take
from nodewise.api.seed import MlopxAccepted, MlopxPipeline, pipeline_view
from nodewise.api.submission import read_submission
from nodewise.api.wiring import Wired
from nodewise.core.compat.mlopx import MAX_COMPONENTS, Converted, UnreadableScript, read_upload
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.nodes_read import all_nodes
from nodewise.core.db.queries.tasks_read import tasks_of_run

router = APIRouter(tags=["mlopx"])
_log = structlog.get_logger()

_FILES = MAX_COMPONENTS + 2
_FIELDS = 8
_FORM = {
    "type": "object",
    "required": ["name", "components", "pipeline", "metadata"],
    "properties": {
        "name": {"type": "string"},
        "components": {"type": "array", "items": {"type": "string", "format": "binary"}},
        "pipeline": {"type": "string", "format": "binary"},
        "metadata": {"type": "string", "format": "binary"},
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Upload:
    name: str
    components: list[tuple[str, bytes]]
    pipeline: bytes
    metadata: bytes


async def _upload(request: Request) -> _Upload:
    form = await read_form(request, max_files=_FILES, max_fields=_FIELDS)
    return _Upload(
        name=form.text("name"),
        components=[(file.name, file.content) for file in form.some("components")],
        pipeline=form.file("pipeline").content,
        metadata=form.file("metadata").content,
    )


@router.post(
    "/submit/",
    response_model=MlopxAccepted,
    responses=problems(400, 413, 415, 422, 503),
    openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}},
)
def submit(upload: Annotated[_Upload, Depends(_upload)], services: Wired, caller: Called) -> Any:
    """Take a pipeline of mlopx: its script and components are read as text, never executed here."""
    converted = _read(upload)
    body = {
        "pipeline_spec": converted.pipeline_spec,
        "platform_spec": {"platforms": converted.platforms},
        "name": converted.name,
    }
    request = submit_request(body)
    submission = read_submission(request, body, key=None, settings=services.settings)
    run, _ = take(services, on_account(submission, caller), caller)
    return {
        "status": "success",
        "message": f"accepted; see /v1/runs/{run['id']}",
        "pipeline_id": run["id"],
        "notes": list(converted.notes),
    }


@router.get("/pipelines/{run_id}", response_model=MlopxPipeline, responses=problems(404, 503))
def get_pipeline(run_id: RunIdPath, services: Wired, caller: Called) -> Any:
    """A run as the seed system shows a pipeline; `/v1/runs/{run_id}` says more."""
    with transaction(services.engine) as connection:
        run = run_of(connection, run_id, caller)
        tasks = tasks_of_run(connection, run_id)
        nodes = all_nodes(connection)
    return pipeline_view(
        run, tasks, platforms={row.view.node.name: row.view.node.architecture for row in nodes}
    )


def _read(upload: _Upload) -> Converted:
    try:
        return read_upload(
            name=upload.name,
            components=upload.components,
            pipeline=upload.pipeline,
            metadata=upload.metadata,
        )
    except UnreadableScript as error:
        # mlopx itself shows its user the status only: whoever runs the gateway finds the reason here.
        _log.warning("a script of mlopx is refused", name=upload.name[:200], reason=str(error))
        fault = Fault(field=f"body.{error.part}", rule=str(error))
        detail = f"{error.part}: {error}"
        raise Problem(status=422, kind="unreadable-script", detail=detail, faults=(fault,)) from error
