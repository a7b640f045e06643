"""Which policy and strategy a run gets."""

import pytest

from nodewise.api.choice import choose, unknown_default
from nodewise.api.problems import Problem
from nodewise.core.settings import Settings

SETTINGS = Settings(policy="priority", strategy="round_robin")


@pytest.mark.parametrize(
    ("policy", "strategy", "expected"),
    [
        (None, None, ("priority", "round_robin")),
        ("random", None, ("random", "round_robin")),
        (None, "greedy", ("priority", "greedy")),
        ("random", "greedy", ("random", "greedy")),
        (None, "fifo_random", ("fifo", "random")),
        ("priority", "fifo_random", ("priority", "random")),
        # Both a preset and a strategy have this name: the preset is what a user of it means.
        (None, "custom", ("shortest", "custom")),
    ],
)
def test_names_are_resolved(policy: str | None, strategy: str | None, expected: tuple[str, str]) -> None:
    choice = choose(policy, strategy, SETTINGS)
    assert (choice.policy, choice.strategy) == expected


def test_a_preset_in_the_settings_is_its_strategy() -> None:
    choice = choose(None, None, Settings(policy="priority", strategy="fifo_greedy"))
    assert (choice.policy, choice.strategy) == ("priority", "greedy")


@pytest.mark.parametrize(("policy", "strategy", "known"), [("x", None, "fifo"), (None, "x", "fifo_greedy")])
def test_an_unknown_name_lists_the_known(policy: str | None, strategy: str | None, known: str) -> None:
    with pytest.raises(Problem) as refused:
        choose(policy, strategy, SETTINGS)
    assert refused.value.status == 422
    assert known in refused.value.detail


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, None),
        ({"strategy": "fifo_greedy"}, None),
        ({"policy": "nonsense"}, "NODEWISE_POLICY: no policy named 'nonsense' is installed; known: "),
        (
            {"strategy": "nonsense"},
            "NODEWISE_STRATEGY: no strategy or preset named 'nonsense' is installed; known: ",
        ),
    ],
)
def test_a_default_that_is_not_installed_is_told_before_any_run_waits_for_it(
    settings: dict[str, str], said: str | None
) -> None:
    found = unknown_default(Settings(**settings))
    assert found == said if said is None else found is not None and found.startswith(said)
