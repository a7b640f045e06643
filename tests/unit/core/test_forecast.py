"""From what was learned to what decisions ask: run times of tasks on nodes, and when live attempts end."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.estimates.forecast import expected_end, predictor, query, unlearned
from nodewise.core.estimates.learning import (
    Basis,
    Beliefs,
    NodeFacts,
    Observation,
    Prediction,
    Query,
    fit,
    observe_all,
)
from nodewise.core.model.ids import NodeName, RunId, TaskPath, TaskRef
from nodewise.core.model.node import Node
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import TaskFacts
from tests.support.rows import NOW

TASK = TaskFacts(
    ref=TaskRef(run_id=RunId("r"), path=TaskPath("a")), task_class="svm", effort_flops=1e9, input_bytes=5e6
)
NODE = Node(
    name=NodeName("n1"),
    node_class="big",
    capacity=Resources(millicores=2500, memory_mib=1),
    accelerator="gpu",
)
BELIEVED = Prediction(median_seconds=10, low=6, high=16, level=0.8, basis=Basis.LEARNED, samples=5)

seconds = st.floats(0, 1e4, allow_nan=False)


def end_after(ran: float, prediction: Prediction | None = BELIEVED) -> float:
    """When an attempt is expected to end that has run for so long, in seconds after its start."""
    now = NOW + timedelta(seconds=ran)
    found = expected_end(prediction, started_at=NOW, placed_at=NOW, now=now)
    return (found - NOW).total_seconds()


def test_a_question_tells_what_is_known_of_task_and_node() -> None:
    facts = NodeFacts(cores=2.5, accelerator="gpu")
    assert query(TASK, NODE) == Query(
        task_class="svm", node_class="big", effort_flops=1e9, input_bytes=5e6, node=facts
    )


def test_a_predictor_gives_the_models_answers_however_often_it_is_asked() -> None:
    model = fit(observe_all(Beliefs(), [Observation(query=query(TASK, NODE), seconds=30.0)] * 3))
    predict = predictor(model)
    assert predict(TASK, NODE) == predict(TASK, NODE) == model.predict(query(TASK, NODE))
    assert predict(TASK, NODE).basis is Basis.LEARNED
    assert unlearned(TASK, NODE).basis is Basis.PRIOR


def test_an_attempt_ends_at_its_median_then_half_way_to_the_end_of_its_interval_then_later_and_later() -> (
    None
):
    assert [end_after(ran) for ran in (0, 9, 10, 12, 16, 40)] == [10, 10, 13, 14, 20, 50]


def test_what_has_not_started_starts_now_at_the_earliest() -> None:
    now = NOW + timedelta(seconds=3)
    assert expected_end(BELIEVED, started_at=None, placed_at=NOW, now=now) == now + timedelta(seconds=10)
    assert expected_end(BELIEVED, started_at=None, placed_at=now, now=NOW) == now + timedelta(seconds=10)


def test_of_an_attempt_without_a_prediction_only_its_start_is_known() -> None:
    assert end_after(0, None) == 1
    assert end_after(50, None) == 50


@given(ran=seconds, later=seconds)
def test_no_attempt_is_expected_to_have_ended_and_waiting_never_brings_its_end_closer_than_its_median(
    ran: float, later: float
) -> None:
    first, second = sorted((ran, later))
    assert end_after(second) >= round(second, 6)
    assert end_after(second) >= BELIEVED.median_seconds
    assert end_after(second) >= end_after(first) - 1e-6
