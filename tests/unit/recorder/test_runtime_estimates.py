"""Learned run times."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.estimates.runtime import RuntimeEstimate, learned_seconds, predicted_seconds

_SECONDS = st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=30)


@given(_SECONDS)
def test_it_is_the_geometric_mean_of_what_was_seen(seconds: list[float]) -> None:
    estimate = RuntimeEstimate.of(seconds)
    assert estimate.runs == len(seconds)
    assert estimate.typical_seconds == pytest.approx(statistics.geometric_mean(seconds), rel=1e-6)


@given(_SECONDS, _SECONDS)
def test_merging_equals_learning_one_after_another(first: list[float], second: list[float]) -> None:
    merged = RuntimeEstimate.of(first).merged(RuntimeEstimate.of(second))
    in_turn = RuntimeEstimate.of([*first, *second])
    assert merged.mean_log_seconds == pytest.approx(in_turn.mean_log_seconds, abs=1e-9)
    assert merged.m2_log_seconds == pytest.approx(in_turn.m2_log_seconds, rel=1e-6, abs=1e-9)


def test_the_spread_is_a_factor() -> None:
    assert RuntimeEstimate.of([2.0, 2.0, 2.0]).spread == pytest.approx(1.0)
    assert RuntimeEstimate.of([1.0, math.e**2]).spread == pytest.approx(math.exp(math.sqrt(2)))
    assert RuntimeEstimate.of([1.0]).spread is None


def test_a_run_of_no_time_does_not_spoil_the_mean() -> None:
    assert RuntimeEstimate.of([0.0]).typical_seconds == pytest.approx(1e-3)


def test_nothing_seen_is_unknown_not_zero() -> None:
    assert RuntimeEstimate().typical_seconds is None
    assert predicted_seconds({}, "svm", "big") is None


def test_what_was_learned_there_comes_before_what_was_learned_elsewhere() -> None:
    learned = {("svm", "big"): RuntimeEstimate.of([2.0]), ("svm", "small"): RuntimeEstimate.of([8.0])}
    assert predicted_seconds(learned, "svm", "big") == pytest.approx(2.0)
    assert predicted_seconds(learned, "svm", "medium") == pytest.approx(4.0)


def test_effort_counts_only_where_nothing_was_learned() -> None:
    learned = {("svm", "big"): RuntimeEstimate.of([2.0])}
    rate = {"effort_flops": 100.0, "flops_per_second": 10.0}
    assert predicted_seconds(learned, "svm", "big", **rate) == pytest.approx(2.0)
    assert predicted_seconds(learned, "tree", "big", **rate) == pytest.approx(10.0)
    assert predicted_seconds(learned, "tree", "big", effort_flops=100.0) is None


def test_a_strategy_is_given_what_was_seen() -> None:
    learned = {("svm", "big"): RuntimeEstimate.of([2.0]), ("svm", "small"): RuntimeEstimate()}
    assert learned_seconds(learned) == {("svm", "big"): pytest.approx(2.0)}


def test_negative_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        RuntimeEstimate(runs=-1)
