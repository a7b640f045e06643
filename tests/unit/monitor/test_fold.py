"""From samples to figures."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Figure, Observation
from nodewise.monitor.fold import WINDOW, History, Sample, carried, latest, observation

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
MIB = 1024 * 1024


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def history(*samples: Sample) -> History:
    found = History()
    for sample in samples:
        found = found.with_sample(sample)
    return found


def cpu(seconds: float, idle: float | None, total: float | None) -> Sample:
    return Sample(measured_at=at(seconds), cpu_idle_seconds=idle, cpu_total_seconds=total)


def memory(seconds: float, mib: float | None) -> Sample:
    return Sample(measured_at=at(seconds), available_memory_bytes=None if mib is None else mib * MIB)


def test_memory_is_averaged_over_the_window_with_the_time_of_its_newest_sample() -> None:
    figure = observation(history(memory(0, 100), memory(10, 300))).available_memory_mib
    assert figure == Figure(value=200, measured_at=at(10))


def test_what_left_the_window_counts_no_more() -> None:
    beyond = WINDOW.total_seconds() + 1
    figure = observation(history(memory(0, 100), memory(beyond, 300))).available_memory_mib
    assert figure == Figure(value=300, measured_at=at(beyond))


def test_a_sample_without_memory_does_not_make_the_figure_newer() -> None:
    figure = observation(history(memory(0, 100), memory(10, None))).available_memory_mib
    assert figure == Figure(value=100, measured_at=at(0))


def test_utilisation_is_the_busy_share_between_the_last_two_samples() -> None:
    figure = observation(history(cpu(0, 0, 0), cpu(2, 4, 4), cpu(4, 5, 8))).cpu_utilisation
    assert figure == Figure(value=0.75, measured_at=at(4))


@pytest.mark.parametrize(
    "samples",
    [
        (cpu(0, 5, 10),),
        (cpu(0, 5, 10), cpu(2, None, None)),
        # The node restarted: its counters began again.
        (cpu(0, 500, 1000), cpu(2, 1, 2)),
        # Scraped so fast that no tick passed.
        (cpu(0, 5, 10), cpu(0.001, 5, 10)),
    ],
)
def test_utilisation_is_unknown_where_no_two_samples_tell(samples: tuple[Sample, ...]) -> None:
    assert observation(history(*samples)).cpu_utilisation is None


def test_a_restart_keeps_the_last_known_utilisation_with_its_old_time() -> None:
    figure = observation(history(cpu(0, 0, 0), cpu(2, 1, 4), cpu(4, 0.1, 0.2))).cpu_utilisation
    assert figure == Figure(value=0.75, measured_at=at(2))


def test_a_sample_that_is_not_newer_changes_nothing() -> None:
    before = history(memory(5, 100))
    assert before.with_sample(memory(5, 900)) == before
    assert before.with_sample(memory(1, 900)) == before


def test_nothing_sampled_is_nothing_known() -> None:
    assert observation(History()) == Observation()


def test_a_silent_node_keeps_its_figures_and_their_time() -> None:
    known = {NodeName("n1"): Observation(load1=Figure(value=2, measured_at=at(0)))}
    assert carried(known, {}, [NodeName("n1")]) == known


def test_a_node_that_is_not_observed_any_more_is_forgotten() -> None:
    known = {NodeName("n1"): Observation(load1=Figure(value=2, measured_at=at(0)))}
    assert carried(known, {}, [NodeName("n2")]) == {NodeName("n2"): Observation()}


figures = st.none() | st.builds(
    lambda value, seconds: Figure(value=value, measured_at=at(seconds)),
    st.floats(0, 100),
    st.integers(0, 100),
)
observations = st.builds(
    lambda memory, cpu, load: Observation(available_memory_mib=memory, cpu_utilisation=cpu, load1=load),
    figures,
    figures,
    figures,
)


@given(old=observations, new=observations)
def test_a_known_figure_never_becomes_unknown_or_older(old: Observation, new: Observation) -> None:
    found = latest(old, new)
    for name in ("available_memory_mib", "cpu_utilisation", "load1"):
        known = [figure for figure in (getattr(old, name), getattr(new, name)) if figure is not None]
        figure = getattr(found, name)
        assert (figure is None) == (not known)
        if figure is not None:
            assert figure in known
            assert figure.measured_at == max(one.measured_at for one in known)


totals = st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=2, max_size=8)


@given(readings=totals)
def test_utilisation_is_always_a_share(readings: list[tuple[float, float]]) -> None:
    samples = [cpu(second, idle, total) for second, (idle, total) in enumerate(readings)]
    figure = observation(history(*samples)).cpu_utilisation
    assert figure is None or 0 <= figure.value <= 1
