"""How what an exit task watched has ended."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """What the parameter of an exit task tells it: `def report(status: RunStatus): ...`.

    On a node it is KFP's `PipelineTaskFinalStatus`, which has the same attributes. `state` is SUCCEEDED, FAILED or CANCELLED.
    """

    state: str
    pipeline_job_resource_name: str = ""
    pipeline_task_name: str = ""
    error_code: int | None = None
    error_message: str | None = None
