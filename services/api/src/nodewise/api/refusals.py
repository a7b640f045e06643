"""What a request may be refused with, and the problem that each is. Pure."""

from dataclasses import replace
from typing import Final

from nodewise.api.problems import Fault, Problem, invalid
from nodewise.core.errors import Conflict, InvalidParameters, InvalidPipeline, InvalidTrigger, NodewiseError

REFUSALS: Final = (Problem, InvalidPipeline, InvalidParameters, InvalidTrigger, Conflict)

_BODY: Final = "body."


def problem_of(error: Exception) -> Problem:
    """The answer that one of REFUSALS stands for."""
    match error:
        case Problem():
            return error
        case InvalidPipeline():
            section = "platform_spec" if error.path.split(".")[0] == "platforms" else "pipeline_spec"
            field = f"body.{section}.{error.path}".rstrip(".")
            return _unprocessable("invalid-pipeline", error, Fault(field=field, rule=error.rule))
        case InvalidParameters():
            fault = Fault(field=f"body.parameters.{error.parameter}", rule=error.rule)
            return _unprocessable("invalid-parameters", error, fault)
        case InvalidTrigger():
            return invalid(f"body.{error.field}", error.rule)
        case _:
            return Problem(status=409, kind="conflict", detail=str(error))


def within(problem: Problem, field: str) -> Problem:
    """The same problem, of a body that is itself the field of another one."""
    faults = [replace(fault, field=_inner(fault.field, field)) for fault in problem.faults]
    detail = problem.detail
    for before, after in zip(problem.faults, faults, strict=True):
        detail = detail.replace(before.field, after.field)
    return Problem(
        status=problem.status, kind=problem.kind, detail=detail, faults=faults, headers=problem.headers
    )


def _inner(path: str, field: str) -> str:
    return f"body.{field}.{path.removeprefix(_BODY)}" if path.startswith(_BODY) else path


def _unprocessable(kind: str, error: NodewiseError, fault: Fault) -> Problem:
    return Problem(status=422, kind=kind, detail=str(error), faults=(fault,))
