"""What holds of learned estimates whatever was seen: priors, outliers, order, the value itself."""

import json
import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtrit

from nodewise.core.estimates.learning import (
    Basis,
    Beliefs,
    NodeFacts,
    Observation,
    Query,
    Samples,
    fit,
    merge,
    observe,
    observe_all,
    predict,
    predict_memory,
)
from nodewise.core.estimates.learning.samples import RECENT
from nodewise.core.estimates.learning.student import t_quantile
from tests.unit.learning.truth import NODES, query, truth

_AMOUNT = st.none() | st.floats(0, 1e30) | st.floats(1e3, 1e12)
_QUERIES = st.builds(
    Query,
    task_class=st.sampled_from(["a", "b", "c"]),
    node_class=st.sampled_from(["x", "y", "z"]),
    effort_flops=_AMOUNT,
    input_bytes=_AMOUNT,
    node=st.builds(
        NodeFacts, cores=st.none() | st.floats(0, 1e4), accelerator=st.sampled_from([None, "gpu"])
    ),
)
_RUNS = st.builds(
    Observation,
    query=_QUERIES,
    seconds=st.none() | st.floats(0, 1e12) | st.floats(0.1, 100),
    peak_memory_mib=st.none() | st.floats(0, 1e12),
)
_HISTORIES = st.lists(_RUNS, max_size=40)


@given(_HISTORIES, _QUERIES, st.floats(0.01, 0.99))
def test_every_prediction_is_positive_finite_and_in_order(
    runs: list[Observation], asked: Query, level: float
) -> None:
    model = fit(observe_all(Beliefs(), runs))
    found, memory = model.predict(asked, level=level), model.predict_memory(asked, level=level)
    assert 0 < found.low <= found.median_seconds <= found.high < math.inf
    assert 0 < memory.low <= memory.median_mib <= memory.high < math.inf


@given(_HISTORIES, _QUERIES, st.floats(1.0, 64.0))
def test_more_work_is_never_predicted_to_be_shorter_nor_to_need_less(
    runs: list[Observation], asked: Query, factor: float
) -> None:
    model = fit(observe_all(Beliefs(), runs))
    larger = Query(
        task_class=asked.task_class,
        node_class=asked.node_class,
        node=asked.node,
        effort_flops=None if asked.effort_flops is None else asked.effort_flops * factor,
        input_bytes=None if asked.input_bytes is None else asked.input_bytes * factor,
    )
    more = model.predict(larger).median_seconds
    assert more >= model.predict(asked).median_seconds * (1 - 1e-9)
    assert model.predict_memory(larger).median_mib >= model.predict_memory(asked).median_mib * (1 - 1e-9)


@given(_HISTORIES)
def test_beliefs_survive_json(runs: list[Observation]) -> None:
    beliefs = observe_all(Beliefs(), runs)
    assert Beliefs.from_json(json.loads(json.dumps(beliefs.to_json()))) == beliefs


@given(_HISTORIES, _QUERIES, st.randoms(use_true_random=False))
def test_the_order_of_few_outcomes_changes_no_median(
    runs: list[Observation], asked: Query, rng: Random
) -> None:
    """It may change the range: outcomes that rise one after another surprise more than those that do not."""
    runs = runs[:RECENT]
    mixed = rng.sample(runs, len(runs))
    first, second = (predict(observe_all(Beliefs(), order), asked) for order in (runs, mixed))
    assert second.median_seconds == pytest.approx(first.median_seconds, rel=1e-6)


def test_the_order_of_many_outcomes_changes_nothing_material() -> None:
    rng = Random(1)
    runs = [run for _ in range(30) for run in truth(Random(2)).wave(rng)]
    first, second = (fit(observe_all(Beliefs(), order)) for order in (runs, rng.sample(runs, len(runs))))
    for number in range(6):
        for node in NODES:
            asked = query(number, node, 4.0)
            expected = first.predict(asked).median_seconds
            assert second.predict(asked).median_seconds == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("node", [NodeFacts(), *NODES.values()])
@pytest.mark.parametrize("effort", [None, 0.0, 1e6, 1e12])
def test_with_no_data_the_prior_is_wide(node: NodeFacts, effort: float | None) -> None:
    found = predict(Beliefs(), Query(task_class="a", node_class="x", effort_flops=effort, node=node))
    assert found.basis is Basis.PRIOR
    assert found.samples == 0
    assert 0.05 < found.median_seconds < 3000
    assert found.high / found.low > 20


def test_the_prior_follows_effort_and_node_facts() -> None:
    def median(effort: float, node: NodeFacts) -> float:
        asked = Query(task_class="a", node_class="x", effort_flops=effort, node=node)
        return predict(Beliefs(), asked).median_seconds

    one, eight = NodeFacts(cores=1), NodeFacts(cores=8)
    gpu = NodeFacts(cores=8, accelerator="gpu")
    assert median(1e11, one) > 5 * median(1e9, one)
    assert median(1e11, one) > median(1e11, eight) > median(1e11, gpu)
    assert median(1e11, NodeFacts(cores=0.5)) == pytest.approx(2 * median(1e11, one))


def test_what_one_class_taught_of_the_effort_formulas_helps_the_next() -> None:
    """Everything seen took a tenth of its prior: so will what was never seen."""
    asked = query(9, "big")
    prior = predict(Beliefs(), asked).median_seconds
    runs = [
        Observation(query=query(n, "big"), seconds=predict(Beliefs(), query(n, "big")).median_seconds / 10)
        for n in range(5)
    ]
    found = predict(observe_all(Beliefs(), runs * 3), asked)
    assert found.basis is Basis.POOLED
    assert found.median_seconds < prior / 3


@pytest.mark.parametrize("place", range(8))
@pytest.mark.parametrize("factor", [100.0, 0.01])
@pytest.mark.parametrize("alone", [True, False])
def test_one_outlier_among_eight_moves_the_median_by_less_than_a_fifth(
    place: int, factor: float, alone: bool
) -> None:
    rng = Random(place)
    others = [] if alone else [run for _ in range(2) for run in truth(rng).wave(rng)]
    times = [5 * rng.lognormvariate(0, 0.1) for _ in range(8)]
    spoilt = [*times[:place], times[place] * factor, *times[place + 1 :]]
    asked = query(7, "big", 4.0)
    clean, found = (
        predict(
            observe_all(Beliefs(), [*others, *(Observation(query=asked, seconds=s) for s in seconds)]), asked
        )
        for seconds in (times, spoilt)
    )
    assert found.median_seconds == pytest.approx(clean.median_seconds, rel=0.2)
    assert found.samples == 8


def test_outliers_of_old_count_as_little_as_new_ones() -> None:
    asked = query(0, "big")
    times = [500.0 if n % 20 == 3 else 5.0 + 0.1 * (n % 7) for n in range(100)]
    found = predict(observe_all(Beliefs(), (Observation(query=asked, seconds=s) for s in times)), asked)
    assert found.median_seconds == pytest.approx(5.3, rel=0.05)


def test_a_node_that_changed_is_learned_anew() -> None:
    asked = query(0, "big")
    times = [20.0] * 200 + [5.0] * 40
    found = predict(observe_all(Beliefs(), (Observation(query=asked, seconds=s) for s in times)), asked)
    assert found.median_seconds == pytest.approx(5.0, rel=0.25)


def test_observing_in_turn_or_at_once_or_apart_and_merged_is_the_same() -> None:
    rng = Random(6)
    runs = [run for _ in range(2) for run in truth(rng).wave(rng)]
    in_turn = Beliefs()
    for run in runs:
        in_turn = observe(in_turn, run)
    at_once = observe_all(Beliefs(), runs)
    apart = merge(observe_all(Beliefs(), runs[:20]), observe_all(Beliefs(), runs[20:]))
    assert in_turn == at_once == apart


def test_a_pair_stays_small_however_much_it_saw() -> None:
    asked = query(0, "big")
    beliefs = observe_all(Beliefs(), (Observation(query=asked, seconds=1.0 + n % 3) for n in range(500)))
    (samples,) = beliefs.seconds.values()
    assert samples.seen == 500
    assert len(samples.recent) == RECENT
    assert len(json.dumps(samples.to_json())) < 1000
    assert predict(beliefs, asked).samples == 500


def test_equal_beliefs_give_equal_predictions() -> None:
    runs = list(truth(Random(7)).wave(Random(7)))
    asked = query(0, "gpu")
    assert predict(observe_all(Beliefs(), runs), asked) == predict(observe_all(Beliefs(), runs), asked)


def test_a_size_that_is_unknown_widens_the_interval() -> None:
    rng = Random(2)
    model = fit(truth(rng).after(rng, 4))
    known = query(0, "big", 4.0)
    unknown = Query(task_class=known.task_class, node_class=known.node_class, node=known.node)
    wide, narrow = model.predict(unknown), model.predict(known)
    assert wide.high / wide.low > 1.3 * narrow.high / narrow.low


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_what_cannot_be_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Observation(query=query(0, "big"), seconds=bad)
    with pytest.raises(ValueError, match="finite"):
        Query(task_class="a", node_class="x", effort_flops=bad)
    with pytest.raises(ValueError, match="finite"):
        NodeFacts(cores=bad)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5])
def test_a_level_is_a_probability(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        predict_memory(Beliefs(), query(0, "big"), level=level)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"seconds": [["a", "x"]], "memory": []},
        {"seconds": [["a", "x", {"seen": 1}]], "memory": []},
        {"seconds": [["a", "x", {"seen": 1, "recent": [[1.0]], "past": [0] * 6}]], "memory": []},
        {"seconds": [["a", "x", {"seen": 1, "recent": [[1.0, math.nan]], "past": [0] * 6}]], "memory": []},
    ],
)
def test_json_that_is_something_else_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not"):
        Beliefs.from_json(value)


def test_samples_of_unknown_size_are_kept_while_recent() -> None:
    samples = Samples()
    for _ in range(RECENT + 5):
        samples = samples.observed((None, 1.0))
    assert samples.seen == RECENT + 5
    assert samples.past.weight == 0


@pytest.mark.parametrize("probability", [0.05, 0.3, 0.5, 0.75, 0.9, 0.95])
@pytest.mark.parametrize("freedom", [4.0, 10.0, 100.0])
def test_the_quantile_is_that_of_scipy(probability: float, freedom: float) -> None:
    assert t_quantile(probability, freedom) == pytest.approx(
        stdtrit(freedom, probability), rel=0.005, abs=1e-9
    )
