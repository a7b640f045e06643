from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from nodewise.core.codec import decode, encode
from nodewise.core.lifecycle import AttemptState
from nodewise.core.messages import AttemptReport, Heartbeat
from nodewise.core.model.artifact import ArtifactRef, TaskOutputs
from nodewise.core.model.ids import AttemptKey, NodeName, RunId, TaskPath
from nodewise.core.model.node import Node
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import DatasetFacts, ModelFacts, RetryPolicy, TaskSpec

KEY = AttemptKey(run_id=RunId("r"), path=TaskPath("t"), attempt=2)


def test_a_task_survives_the_way_to_the_row_and_back() -> None:
    spec = TaskSpec(
        path=TaskPath("train"),
        component="train",
        dataset=DatasetFacts(samples=3, types={"float64": 2}),
        model=ModelFacts(type="nn", parameters={"layers": [10, 20], "epochs": 3, "bias": True, "note": None}),
        retry=RetryPolicy(max_retries=2, backoff=timedelta(seconds=5)),
        timeout=timedelta(minutes=3),
    )
    assert decode(TaskSpec, encode(spec)) == spec


def test_a_heartbeat_survives_the_broker() -> None:
    outputs = TaskOutputs(parameters={"n": 3}, artifacts={"m": ArtifactRef(name="m", uri="store://file/00")})
    heartbeat = Heartbeat(
        node=Node(name=NodeName("n1"), capacity=Resources(millicores=1000)),
        boot_id="b",
        sequence=4,
        sent_at=datetime(2026, 1, 1, tzinfo=UTC),
        attempts=(AttemptReport(key=KEY, state=AttemptState.SUCCEEDED, outputs=outputs),),
    )
    assert Heartbeat.model_validate(heartbeat.model_dump(mode="json")) == heartbeat


def test_what_is_not_legal_is_refused() -> None:
    with pytest.raises(ValidationError):
        decode(Resources, {"millicores": -1})
    with pytest.raises(ValidationError):
        decode(AttemptKey, {"run_id": "r", "path": "t", "attempt": 0})


def test_back_off_grows_and_is_capped() -> None:
    policy = RetryPolicy(max_retries=9, backoff=timedelta(seconds=10), max_backoff=timedelta(seconds=60))
    assert [policy.delay(n).total_seconds() for n in (1, 2, 3, 4, 400)] == [10, 20, 40, 60, 60]
    assert RetryPolicy().delay(3) == timedelta(0)
