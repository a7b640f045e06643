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
BALANCED: Final = Preset(
    name="balanced",
    policy="balanced",
    strategy="portfolio",
    summary="All runs planned together, for a short whole and early ends alike.",
)
FAIR: Final = Preset(
    name="fair",
    policy="fair_share",
    strategy="portfolio",
    summary="The team with the least of its share first, each run planned into the room that is left.",
)
DEADLINE_FIRST: Final = Preset(
    name="deadline_first",
    policy="deadline",
    strategy="portfolio",
    summary="Whose deadline is the tightest first, each run planned into the room that is left.",
)
SHORTEST_EFT: Final = Preset(
    name="shortest_eft",
    policy="shortest",
    strategy="eft",
    summary="The shortest run first, each task where it ends first.",
)
