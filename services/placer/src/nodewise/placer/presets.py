"""Policies and strategies that go together by one name, as users know them."""

from typing import Final

from nodewise.core.ports import Preset

RANDOM_RANDOM: Final = Preset(
    name="random_random", policy="random", strategy="random", summary="Any order, any node: the baseline."
)
FIFO_RANDOM: Final = Preset(
    name="fifo_random", policy="fifo", strategy="random", summary="First come, first served, on any node."
)
FIFO_ROUND_ROBIN: Final = Preset(
    name="fifo_round_robin",
    policy="fifo",
    strategy="round_robin",
    summary="First come, first served, one node after the other.",
)
FIFO_GREEDY: Final = Preset(
    name="fifo_greedy",
    policy="fifo",
    strategy="greedy",
    summary="First come, first served, on the least loaded node.",
)
CUSTOM: Final = Preset(
    name="custom",
    policy="shortest",
    strategy="custom",
    summary="Least effort first, on the nodes that the rules name for its kind and model.",
)
