import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.estimates.effort import effort_flops
from nodewise.core.estimates.networks import cnn_macs, dense_macs
from nodewise.core.model.task import DatasetFacts, ModelFacts, TaskKind
from tests.support.builders import a_spec

MODELS = ("linear_regression", "logistic_regression", "decision_tree", "random_forest", "svm", "nn", "cnn")


def effort(
    model: str | None = None,
    *,
    kind: TaskKind = TaskKind.TRAINING,
    samples: int | None = 1024,
    features: int | None = 16,
    classes: int | None = 2,
    **parameters: Any,
) -> float | None:
    return effort_flops(
        a_spec(
            kind=kind,
            dataset=DatasetFacts(samples=samples, features=features, classes=classes),
            model=None if model is None else ModelFacts(type=model, parameters=parameters),
        )
    )


def test_preprocessing_touches_every_value_once() -> None:
    assert effort(kind=TaskKind.PREPROCESSING) == 1024 * 16


def test_features_follow_from_their_types_where_only_these_are_known() -> None:
    facts = DatasetFacts(samples=10, types={"float64": 3, "int64": 2})
    assert effort_flops(a_spec(kind=TaskKind.PREPROCESSING, dataset=facts)) == 50


@pytest.mark.parametrize(
    ("model", "parameters", "expected"),
    [
        ("linear_regression", {}, 2 * 1024 * 16**2),
        ("logistic_regression", {}, 4 * 1024 * 16 * 100),
        ("logistic_regression", {"max_iter": 10}, 4 * 1024 * 16 * 10),
        ("decision_tree", {}, 1024 * 16 * 10 * 10),
        ("decision_tree", {"max_depth": 3}, 1024 * 16 * 10 * 3),
        ("svm", {"kernel": "linear", "max_iter": 50}, 2 * 1024 * 16 * 50),
        ("svm", {}, 1024**2 * 16 + 1024**2.5),
        ("nn", {"hidden_layer_sizes": [8], "epochs": 5}, (16 * 8 + 8 * 2) * 2 * 3 * 1024 * 5),
    ],
)
def test_training_costs_what_the_textbook_says(
    model: str, parameters: dict[str, Any], expected: float
) -> None:
    assert effort(model, **parameters) == pytest.approx(expected)


def test_a_forest_grows_with_its_trees_on_fewer_features() -> None:
    one, many = effort("random_forest", n_estimators=1), effort("random_forest", n_estimators=50)
    tree = effort("decision_tree")
    assert one is not None
    assert tree is not None
    assert many == pytest.approx(50 * one)
    assert one < tree


def test_evaluation_is_one_forward_pass() -> None:
    trained = effort("nn", epochs=7)
    passed = effort("nn", kind=TaskKind.EVALUATION, epochs=7)
    assert trained is not None
    assert passed == pytest.approx(trained / (3 * 7))


def test_layers_may_be_a_number_with_units() -> None:
    assert dense_macs({"layers": 2, "units": 4}, inputs=3, outputs=5) == 3 * 4 + 4 * 4 + 4 * 5


def test_a_convolution_costs_side_squared_kernel_squared_channels() -> None:
    macs = cnn_macs({"filters": [4], "kernel_size": 3, "channels": 1}, inputs=64, outputs=10)
    assert macs == 8**2 * 9 * 1 * 4 + 4**2 * 4 * 10


def test_convolutions_see_smaller_images_and_more_channels_one_after_the_other() -> None:
    macs = cnn_macs({"filters": [2, 4], "dense": [6], "channels": 3}, inputs=3 * 64, outputs=2)
    assert macs == 64 * 9 * 3 * 2 + 16 * 9 * 2 * 4 + 2 * 2 * 4 * 6 + 6 * 2


@pytest.mark.parametrize(
    "unknown",
    [
        effort("svm", samples=None),
        effort("svm", features=None),
        effort("oracle"),
        effort(None),
        effort("svm", kind=TaskKind.OTHER),
        effort("nn", hidden_layer_sizes="many"),
        effort("nn", hidden_layer_sizes=[8, -1]),
        effort("cnn", kernel_size=0),
        effort("nn", epochs=1e308),
        effort_flops(a_spec(kind=TaskKind.PREPROCESSING)),
    ],
)
def test_what_is_not_known_has_no_effort(unknown: float | None) -> None:
    assert unknown is None


@given(
    st.sampled_from(MODELS),
    st.sampled_from([TaskKind.TRAINING, TaskKind.EVALUATION]),
    st.integers(1, 10**7),
    st.integers(1, 10**4),
)
def test_effort_is_positive_and_grows_with_the_samples(
    model: str, kind: TaskKind, samples: int, features: int
) -> None:
    small = effort(model, kind=kind, samples=samples, features=features)
    large = effort(model, kind=kind, samples=2 * samples, features=features)
    assert small is not None
    assert large is not None
    assert 0 < small < large < math.inf


@given(
    st.sampled_from(MODELS),
    st.dictionaries(
        st.sampled_from(
            ["epochs", "max_iter", "max_depth", "kernel", "n_estimators", "filters", "layers", "units"]
        ),
        st.none()
        | st.booleans()
        | st.text(max_size=3)
        | st.floats(allow_nan=True)
        | st.lists(st.integers(-2, 9)),
    ),
)
def test_no_hyper_parameter_breaks_the_estimate(model: str, parameters: dict[str, Any]) -> None:
    found = effort(model, **parameters)
    assert found is None or 0 < found < math.inf
