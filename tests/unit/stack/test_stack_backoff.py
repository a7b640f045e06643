from hypothesis import given
from hypothesis import strategies as st

from nodewise.stack.backoff import delay_seconds, failures_after


def test_pauses_double_up_to_ten_seconds() -> None:
    assert [delay_seconds(n) for n in range(1, 9)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


@given(st.integers(min_value=1, max_value=10**9))
def test_a_pause_is_never_longer_than_the_longest(failures: int) -> None:
    assert 0.2 <= delay_seconds(failures) <= 10.0


def test_a_healthy_life_starts_the_count_anew() -> None:
    assert failures_after(7, ran_seconds=29.9) == 8
    assert failures_after(7, ran_seconds=30.0) == 1
