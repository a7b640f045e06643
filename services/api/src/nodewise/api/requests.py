"""What clients send."""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from nodewise.api.examples import PARAMETERS, PIPELINE
from nodewise.api.problems import Fault, Problem, invalid
from nodewise.core.lifecycle import RunState
from nodewise.core.model.engines import EngineName
from nodewise.core.model.task import DataKind

PRIORITY_LIMIT = 1_000_000
TEAM_PATTERN = r"^[^\s/](.{0,98}[^\s/])?$"
DATASET_RULE = (
    "must be 1 to 128 letters, digits, dots, dashes and underscores, beginning with a letter or a digit"
)
DATASET_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"

_MOST_FAULTS = 100
"""Of a body that breaks a rule in very many places, so many are named."""
_Key = Annotated[str, Field(min_length=1, max_length=63)]
_Value = Annotated[str, Field(max_length=255)]
_Name = Annotated[str, Field(min_length=1, max_length=200)]


def rfc3339_text(value: object) -> object:
    if isinstance(value, str | datetime):
        return value
    raise ValueError("must be a time as RFC 3339 text, such as 2030-01-31T12:00:00Z")


_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def in_this_century(moment: datetime) -> datetime:
    if not _EARLIEST <= moment < _LATEST:
        raise ValueError("must lie in the years 2000 to 2099")
    return moment


class PlatformSpec(BaseModel):
    """The second document of KFP's YAML."""

    model_config = ConfigDict(extra="forbid", strict=True)

    platforms: dict[str, object] = Field(default_factory=dict)


class SubmitRequest(BaseModel):
    """A compiled pipeline and how it is to be run."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "example": {
                "pipeline_spec": PIPELINE,
                "platform_spec": {"platforms": {"nodewise": {"pipelineConfig": {"priority": 5}}}},
                "parameters": PARAMETERS,
                "name": "wine, first try",
                "strategy": "fifo_greedy",
                "deadline": "2030-01-31T12:00:00Z",
                "labels": {"wave": "1"},
            }
        },
    )

    pipeline_spec: dict[str, object] = Field(description="KFP's compiled IR (PipelineSpec 2.1.0) as JSON.")
    platform_spec: PlatformSpec | None = None
    parameters: dict[str, object] = Field(default_factory=dict, description="The run's parameters by name.")
    name: _Name | None = Field(default=None, description="Default: the pipeline's name.")
    policy: _Name | None = Field(default=None, description="See /v1/policies. Default: the server's.")
    strategy: _Name | None = Field(
        default=None, description="A strategy or a preset, see /v1/strategies. A preset sets the policy, too."
    )
    engine: EngineName | None = Field(
        default=None,
        description="Where its tasks run: on the agents, as Jobs of Kubernetes, or on Kubeflow Pipelines. Default: the server's.",
    )
    priority: int | None = Field(
        default=None, ge=-PRIORITY_LIMIT, le=PRIORITY_LIMIT, description="Higher goes first."
    )
    deadline: Annotated[AwareDatetime, BeforeValidator(rfc3339_text), Field(strict=False)] | None = Field(
        default=None, description="RFC 3339 with zone, in the future."
    )
    team: Annotated[str, Field(pattern=TEAM_PATTERN)] | None = None
    labels: dict[_Key, _Value] = Field(default_factory=dict, max_length=64)
    cache: bool | None = Field(
        default=None,
        description="False: every task runs, whatever earlier results there are. Default: as the pipeline says.",
    )

    @property
    def platforms(self) -> Mapping[str, object]:
        return self.platform_spec.platforms if self.platform_spec else {}


_Model = TypeVar("_Model", bound=BaseModel)


def submit_request(body: Mapping[str, object]) -> SubmitRequest:
    """The body of a submission.

    Raises:
        Problem: 422 with every field that breaks a rule.
    """
    return read_body(SubmitRequest, body)


def read_body(model: type[_Model], body: Mapping[str, object]) -> _Model:
    """The body as that model.

    Raises:
        Problem: 422 with every field that breaks a rule.
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        faults = [
            Fault(field=".".join(["body", *map(str, item["loc"])])[:300], rule=item["msg"])
            for item in islice(
                error.errors(include_url=False, include_context=False, include_input=False), _MOST_FAULTS
            )
        ]
        detail = "; ".join(f"{fault.field}: {fault.rule}" for fault in faults[:5])
        raise Problem(status=422, kind="invalid-request", detail=detail, faults=faults) from error


class RunQuery(BaseModel):
    """Which page of which runs."""

    model_config = ConfigDict(extra="forbid")

    state: RunState | None = None
    team: str | None = Field(default=None, max_length=100)
    label: list[str] = Field(default=[], max_length=64, description="key:value; several must all hold.")
    schedule: uuid.UUID | None = Field(default=None, description="Only the runs of that schedule.")
    archived: bool = Field(default=False, description="Only runs that were put away; by default only others.")
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(
        default=None, max_length=300, description="The next_cursor of the page before."
    )


class ExplainQuery(BaseModel):
    """Of which task."""

    model_config = ConfigDict(extra="forbid")

    task: str | None = Field(default=None, description="Its path; by default all of the run.")


class SummaryQuery(BaseModel):
    """Of whose runs."""

    model_config = ConfigDict(extra="forbid")

    team: str | None = Field(default=None, max_length=100)


class AuditQuery(BaseModel):
    """Which part of the record."""

    model_config = ConfigDict(extra="forbid")

    since: Annotated[AwareDatetime, AfterValidator(in_this_century)] | None = Field(
        default=None,
        description="Only runs submitted, and room held, since then (RFC 3339 with zone). Default: the last 24 hours.",
    )
    limit: int = Field(default=200, ge=1, le=1000, description="So many runs at most, oldest first.")
    cursor: str | None = Field(
        default=None, max_length=300, description="The next_cursor of the page before."
    )


class DatasetForm(BaseModel):
    """What the owner of a data set says of it; its size is measured."""

    model_config = ConfigDict(extra="forbid")

    kind: DataKind = DataKind.TABULAR
    samples: int | None = Field(default=None, ge=0, le=2**62)
    features: int | None = Field(default=None, ge=0, le=2**31 - 1)
    classes: int | None = Field(default=None, ge=0, le=2**31 - 1)
    types: str | None = Field(
        default=None, description="Features by type name as JSON.", examples=['{"float64": 12, "int64": 3}']
    )
    normalised: bool = True

    def type_counts(self) -> dict[str, int]:
        """The `types` as counts by type name.

        Raises:
            Problem: 422, they are no JSON object of counts.
        """
        rule = 'must be a JSON object of counts, such as {"float64": 12}'
        try:
            counts = json.loads(self.types or "{}")
        except (ValueError, RecursionError) as error:
            raise invalid("query.types", rule) from error
        if not isinstance(counts, dict) or not all(_is_count(item) for item in counts.items()):
            raise invalid("query.types", rule)
        return counts


def _is_count(item: tuple[str, object]) -> bool:
    name, count = item
    storable = name.isprintable() and 0 < len(name) <= 63
    return storable and isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 2**31
