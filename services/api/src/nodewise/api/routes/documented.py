"""How errors stand in the OpenAPI document."""

from http import HTTPStatus
from typing import Any

from nodewise.api.access import ACCESS
from nodewise.api.schemas import ProblemBody

PROBLEM_JSON = "application/problem+json"
_PROBLEM = {"$ref": "#/components/schemas/ProblemBody"}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an endpoint that may answer with these."""
    return {status: {"model": ProblemBody, "description": HTTPStatus(status).phrase} for status in statuses}


def json_body(model: str) -> dict[str, Any]:
    """The `openapi_extra` of an endpoint that reads its body itself, as that model."""
    schema = {"schema": {"$ref": f"#/components/schemas/{model}"}}
    return {"requestBody": {"required": True, "content": {"application/json": schema}}}


def as_problem_json(document: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI document with our problems on every error, also where FastAPI documents its own."""
    for foreign in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(foreign, None)
    for path in document["paths"].values():
        for operation in path.values():
            for status, answer in operation["responses"].items():
                if int(status) >= 400 and answer.get("content"):
                    answer["content"] = {PROBLEM_JSON: {"schema": _PROBLEM}}
    return document


def with_keys(document: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI document with the API keys, which the guard asks for before an endpoint is reached."""
    document["components"]["securitySchemes"] = {_SCHEME: _KEYS}
    refusals = {str(status): answer for status, answer in problems(401, 403, 429).items()}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            access = ACCESS[method.upper(), path]
            if access.least is None:
                continue
            operation["security"] = [{_SCHEME: []}, *([{}] if access.mlopx else [])]
            operation["description"] = (
                f"{operation.get('description', '')}\n\nRole: {access.least} or higher."
            )
            for status, answer in refusals.items():
                content = {PROBLEM_JSON: {"schema": _PROBLEM}}
                operation["responses"].setdefault(
                    status, {"description": answer["description"], "content": content}
                )
    return document


_SCHEME = "key"
_KEYS = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key, `nw_...`. On a stack that `nodewise up` started, the admin's is in the file `admin.key` of its home, "
    "which `nodewise doctor` names; `nodewise keys create` makes others.",
}
