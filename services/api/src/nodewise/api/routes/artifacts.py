"""What tasks left in the store, for everybody to take home."""

from collections.abc import Mapping
from urllib.parse import quote

from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse

from nodewise.api.auth.caller import Called, Caller
from nodewise.api.problems import Problem, not_found
from nodewise.api.routes.documented import problems
from nodewise.api.routes.lookup import RunIdPath, run_of
from nodewise.api.wiring import Services, Wired
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.tasks_read import outputs_of_task
from nodewise.core.errors import ArtifactMissing
from nodewise.core.model.ids import RunId
from nodewise.core.store import ArtifactStream, is_address

router = APIRouter(tags=["runs"], prefix="/v1/runs")

_BINARY = {"schema": {"type": "string", "format": "binary"}}


@router.get(
    "/{run_id}/tasks/{path}/artifacts/{name}",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"application/octet-stream": _BINARY, "application/x-tar": _BINARY}},
        **problems(404, 409, 422, 503),
    },
)
def get_artifact(run_id: RunIdPath, path: str, name: str, *, services: Wired, caller: Called) -> Response:
    """An artifact that a task left: a file as it is, a directory as a tar. 409: the task keeps it elsewhere."""
    uri = _uri(services, run_id, path, name=name, caller=caller)
    if not is_address(uri):
        detail = f"the artifact {name!r} is not in the store: the task put it at {uri}"
        raise Problem(status=409, kind="foreign-artifact", detail=detail)
    try:
        found = services.store.stream(uri)
    except ArtifactMissing as error:
        raise not_found("content", uri) from error
    return _answer(found, name)


def _uri(services: Services, run_id: RunId, path: str, *, name: str, caller: Caller) -> str:
    with transaction(services.engine) as connection:
        run_of(connection, run_id, caller)
        outputs = outputs_of_task(connection, run_id, path)
    if outputs is None:
        raise not_found("task", f"{run_id}/{path[:200]}")
    artifact = outputs.get("artifacts", {}).get(name)
    if not isinstance(artifact, Mapping):
        raise not_found("artifact", f"{run_id}/{path}/{name[:200]}")
    return str(artifact["uri"])


def _answer(found: ArtifactStream, name: str) -> Response:
    file = f"{name}.tar" if found.is_tree else name
    return StreamingResponse(
        found.blocks,
        media_type="application/x-tar" if found.is_tree else "application/octet-stream",
        headers={
            "Content-Length": str(found.size_bytes),
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file, safe='')}",
        },
    )
