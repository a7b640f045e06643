"""What a submission is answered with. The examples stand in the OpenAPI document."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, Field

from nodewise.api.schemas import RUN, Run, example
from nodewise.core.model.decision import ReasonCode

_UNFIT: Final[Mapping[str, Any]] = {
    "code": "unsatisfiable",
    "text": "no node can ever take it; it needs 64 cores, 512 MiB. n1: has 4 cores in all, needs 64",
    "paths": ["train"],
    "tasks": 1,
}


class UnfitBody(BaseModel):
    """Tasks of a submission that no node can take, as the cluster is now. They wait until one joins that can."""

    model_config = example(**_UNFIT)

    code: ReasonCode
    text: str
    paths: list[str] = Field(description="The first 20 of them.")
    tasks: int = Field(description="How many there are, every branch taken.")


class SubmittedRun(Run):
    """The run that a submission became, and what is to be said of it. It was taken whatever that is."""

    model_config = example(**RUN, findings=[_UNFIT])

    findings: list[UnfitBody] | None = Field(
        description="Tasks that no node can take as the cluster is now, each component once; empty: there are none, or no node is "
        "ready at all. Null: it could not be told. What a task needs by parameters is known only once its inputs are there."
    )
