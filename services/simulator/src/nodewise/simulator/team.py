"""Who decides, and what they know: as the services are made, once for all."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nodewise.core.model.problem import Objective, Problem
from nodewise.core.ports import Policy, Predict, Strategy
from nodewise.simulator.limits import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """The policy and strategy of every run, with the problem as it is believed and as it is predicted from.

    `strategies` are those that the placers have; `estimated`: what is believed may be wrong.
    """

    policy: Policy
    strategy: str
    strategies: Mapping[str, Strategy]
    believed: Problem
    predict: Predict
    estimated: bool = False
    objective: Objective = Objective.BALANCED
    limits: Limits = field(default_factory=Limits)
    seed: int = 0
