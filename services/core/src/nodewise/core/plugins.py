"""Finds policies, strategies, planners, presets and CLI commands by entry point, so that installing a package adds them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points

from nodewise.core.errors import UnknownName
from nodewise.core.findings import Finding
from nodewise.core.model.problem import Planner
from nodewise.core.ports import Policy, Preset, Strategy

POLICIES = "nodewise.policies"
STRATEGIES = "nodewise.strategies"
PLANNERS = "nodewise.planners"
PRESETS = "nodewise.presets"
COMMANDS = "nodewise.commands"
CHECKUPS = "nodewise.checkups"


@cache
def policies() -> Mapping[str, Policy]:
    """All installed policies by name. An entry point names a class without arguments."""
    found: list[Policy] = [entry.load()() for entry in entry_points(group=POLICIES)]
    return {policy.name: policy for policy in sorted(found, key=lambda p: p.name)}


@cache
def strategies() -> Mapping[str, Strategy]:
    """All installed strategies by name. An entry point names a class without arguments."""
    found: list[Strategy] = [entry.load()() for entry in entry_points(group=STRATEGIES)]
    return {strategy.name: strategy for strategy in sorted(found, key=lambda s: s.name)}


@cache
def planners() -> Mapping[str, Planner]:
    """All installed planners by name. An entry point names a class without arguments.

    Loading one imports what it plans with, so only processes that plan should ask.
    """
    found: list[Planner] = [entry.load()() for entry in entry_points(group=PLANNERS)]
    return {planner.name: planner for planner in sorted(found, key=lambda p: p.name)}


@cache
def presets() -> Mapping[str, Preset]:
    """All installed presets by name. An entry point names a `Preset`."""
    found: list[Preset] = [entry.load() for entry in entry_points(group=PRESETS)]
    return {preset.name: preset for preset in sorted(found, key=lambda p: p.name)}


def checkups() -> Sequence[Callable[[], Iterable[Finding]]]:
    """What else the doctor looks at: each entry point names a function that says nothing where there is nothing to look at."""
    return [entry.load() for entry in sorted(entry_points(group=CHECKUPS), key=lambda e: e.name)]


def policy(name: str) -> Policy:
    """The policy of that name.

    Raises:
        UnknownName: No installed package offers it; carries the known names.
    """
    found = policies().get(name)
    if found is None:
        raise UnknownName("policy", name, tuple(policies()))
    return found


def strategy(name: str) -> Strategy:
    """The strategy of that name.

    Raises:
        UnknownName: No installed package offers it; carries the known names.
    """
    found = strategies().get(name)
    if found is None:
        raise UnknownName("strategy", name, tuple(strategies()))
    return found


def planner(name: str) -> Planner:
    """The planner of that name.

    Raises:
        UnknownName: No installed package offers it; carries the known names.
    """
    found = planners().get(name)
    if found is None:
        raise UnknownName("planner", name, tuple(planners()))
    return found
