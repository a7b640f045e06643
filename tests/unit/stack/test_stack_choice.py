import pytest

from nodewise.core import plugins
from nodewise.stack.choice import chosen
from nodewise.stack.errors import StackError
from nodewise.stack.plan import Options


@pytest.mark.parametrize(
    ("options", "env", "source"),
    [
        (Options(strategy="gredy"), {}, "--strategy is 'gredy'"),
        (Options(policy="foo"), {}, "--policy is 'foo'"),
        (Options(), {"NODEWISE_POLICY": "foo"}, "NODEWISE_POLICY is 'foo'"),
        (Options(), {"NODEWISE_STRATEGY": ""}, "NODEWISE_STRATEGY is ''"),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(
    options: Options, env: dict[str, str], source: str
) -> None:
    known = plugins.strategies() if "STRATEGY" in source.upper() else plugins.policies()
    with pytest.raises(StackError) as refused:
        chosen(options, env)
    line = str(refused.value)
    assert line.startswith(source)
    assert all(name in line for name in known)
    assert "\n" not in line


def test_a_preset_is_no_policy() -> None:
    with pytest.raises(StackError, match="--policy"):
        chosen(Options(policy="fifo_greedy"), {})


def test_a_preset_sets_both_unless_a_policy_is_given() -> None:
    preset = next(iter(plugins.presets().values()))
    other = next(name for name in plugins.policies() if name != preset.policy)
    both = chosen(Options(strategy=preset.name), {})
    assert (both.policy, both.strategy) == (preset.policy, preset.strategy)
    beside = chosen(Options(strategy=preset.name, policy=other), {})
    assert (beside.policy, beside.strategy) == (other, preset.strategy)


def test_known_names_are_left_as_they_are() -> None:
    known = Options(policy=next(iter(plugins.policies())), strategy=next(iter(plugins.strategies())))
    assert chosen(known, {}) == known
    assert chosen(Options(), {}) == Options()


def test_an_image_for_pods_asks_for_a_carrier() -> None:
    assert chosen(Options(), {"NODEWISE_KUBERNETES_IMAGE": "nodewise/agent"}).carrier
    assert not chosen(Options(), {}).carrier
