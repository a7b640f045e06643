"""The size of a new task: what is measured of its data set over what its author said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.estimates.sizing import Size, size_of, with_measurements
from nodewise.core.model.task import DataKind, DatasetFacts, ModelFacts, TaskKind, TaskSpec
from tests.support.builders import a_spec

SAID = DatasetFacts(name="wine", samples=50, features=4, classes=2, types={"int8": 4}, size_bytes=10)


def measured(known: DatasetFacts, own: DatasetFacts | None = SAID) -> DatasetFacts | None:
    return with_measurements(a_spec(dataset=own), {"wine": known}).dataset


def test_what_is_measured_replaces_what_was_said() -> None:
    known = DatasetFacts(
        name="wine", kind=DataKind.IMAGES, samples=100, features=7, classes=3, types={"float64": 7}, size_bytes=5600,
        normalised=False, measured=True,
    )  # fmt: skip
    assert measured(known) == known


def test_what_is_not_measured_stands_as_it_was_said() -> None:
    assert measured(DatasetFacts(name="wine", size_bytes=5600)) == DatasetFacts(
        name="wine", samples=50, features=4, classes=2, types={"int8": 4}, size_bytes=5600, measured=True
    )


def test_a_measured_zero_is_no_gap() -> None:
    empty = measured(DatasetFacts(name="wine", samples=0, features=0, classes=0, size_bytes=0))
    assert empty is not None
    assert (empty.samples, empty.features, empty.classes, empty.size_bytes) == (0, 0, 0, 0)


def test_a_size_on_disk_that_is_not_measured_is_not_believed() -> None:
    facts = measured(DatasetFacts(name="wine", samples=100))
    assert facts is not None
    assert facts.size_bytes is None


@pytest.mark.parametrize("own", [None, DatasetFacts(), DatasetFacts(name="beer", samples=3)])
def test_a_task_that_names_no_registered_data_set_stays_as_it_is(own: DatasetFacts | None) -> None:
    spec = a_spec(dataset=own)
    assert with_measurements(spec, {"wine": SAID}) is spec
    assert with_measurements(a_spec(dataset=SAID), {}) == a_spec(dataset=SAID)


def test_nothing_but_the_data_set_changes() -> None:
    spec = a_spec(dataset=SAID, kind=TaskKind.TRAINING, model=ModelFacts(type="svm"), task_class="mine")
    after = with_measurements(spec, {"wine": DatasetFacts(name="wine", samples=9)})
    assert after == a_spec(
        dataset=after.dataset, kind=TaskKind.TRAINING, model=ModelFacts(type="svm"), task_class="mine"
    )


def test_work_and_bytes() -> None:
    spec = a_spec(kind=TaskKind.PREPROCESSING, dataset=DatasetFacts(samples=50, features=4))
    assert size_of(spec) == Size(effort_flops=200.0, input_bytes=1600.0)


@pytest.mark.parametrize(
    ("spec", "size"),
    [
        (a_spec(), Size(effort_flops=None, input_bytes=None)),
        (a_spec(dataset=DatasetFacts()), Size(effort_flops=None, input_bytes=None)),
        (a_spec(dataset=DatasetFacts(samples=2, features=3)), Size(effort_flops=None, input_bytes=48.0)),
        (
            a_spec(kind=TaskKind.PREPROCESSING, dataset=DatasetFacts(samples=0, features=3)),
            Size(effort_flops=0.0, input_bytes=0.0),
        ),
        (
            a_spec(
                kind=TaskKind.TRAINING,
                model=ModelFacts(type="no-such"),
                dataset=DatasetFacts(samples=1, features=1),
            ),
            Size(effort_flops=None, input_bytes=8.0),
        ),
    ],
)
def test_what_is_unknown_is_not_zero(spec: TaskSpec, size: Size) -> None:
    assert size_of(spec) == size


def test_figures_beyond_all_bounds_are_an_error() -> None:
    with pytest.raises(OverflowError):
        size_of(a_spec(kind=TaskKind.PREPROCESSING, dataset=DatasetFacts(samples=10**200, features=10**200)))


@given(
    samples=st.none() | st.integers(0, 2**62),
    features=st.none() | st.integers(0, 2**62),
    kind=st.sampled_from(list(TaskKind)),
    model=st.sampled_from([None, "svm", "nn", "cnn", "random_forest", "linear_regression"]),
)
def test_a_size_is_a_finite_number_or_unknown(
    samples: int | None, features: int | None, kind: TaskKind, model: str | None
) -> None:
    facts = DatasetFacts(samples=samples, features=features)
    spec = a_spec(kind=kind, dataset=facts, model=ModelFacts(type=model) if model else None)
    try:
        size = size_of(spec)
    except (ValueError, OverflowError):
        return
    for figure in (size.effort_flops, size.input_bytes):
        assert figure is None or 0 <= figure < float("inf")
