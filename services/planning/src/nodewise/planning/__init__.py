"""Whole plans: every task of a problem on a node and a time axis, one planner a file. Pure."""

from collections.abc import Mapping
from types import MappingProxyType

from nodewise.core.model.problem import Planner
from nodewise.planning.cpop import Cpop
from nodewise.planning.eft import Eft
from nodewise.planning.exact import Exact
from nodewise.planning.fastest_node import FastestNode, OwnFastestNode
from nodewise.planning.heft import Heft
from nodewise.planning.max_min import MaxMin
from nodewise.planning.min_min import MinMin
from nodewise.planning.peft import Peft
from nodewise.planning.portfolio import Portfolio
from nodewise.planning.sufferage import Sufferage

PLANNERS: Mapping[str, Planner] = MappingProxyType(
    {
        planner.name: planner
        for planner in (
            Heft(),
            Peft(),
            Cpop(),
            MinMin(),
            MaxMin(),
            Sufferage(),
            FastestNode(),
            OwnFastestNode(),
            Eft(),
            Exact(),
            Portfolio(),
        )
    }
)
"""Every planner by its name."""
