"""How much is measured: all that the issue asks for, or a short version to see that it works."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Sizes and budgets of all parts; seconds are per answer.

    Attributes:
        seed: The first seed; the others follow it.
        dags: Random DAGs of part a.
        exact_seconds: For the proof of one optimum.
        shapes: (tasks, nodes) of part b.
        peer_seconds: Of computing, for one answer of one of the peers' schedulers.
        search_placements: Tasks that the portfolio's search places for one plan; no clock, so it can be repeated.
        streams: Seconds of planning for the default, in all, by pipelines in the stream (parts c and d); None: no clock,
            searches are bounded by counts, as in the live stack, so they can be repeated.
        reference_placements: Tasks placed in the search for the best plan by one figure alone, where that is judged (part c).
        seeds: Streams of each kind.
        tasks: Sizes of part e on ten nodes.
        nodes: Sizes of part e with a thousand tasks.
        attacks: Searches of part f.
        steps: Steps of each.
    """

    seed: int
    dags: int
    exact_seconds: float
    shapes: tuple[tuple[int, int], ...]
    peer_seconds: float
    search_placements: int
    streams: Mapping[int, float | None]
    reference_placements: int
    seeds: int
    tasks: tuple[int, ...]
    nodes: tuple[int, ...]
    attacks: int
    steps: int


def full(seed: int) -> Scale:
    return Scale(
        seed=seed,
        dags=60,
        exact_seconds=30.0,
        shapes=((50, 6), (200, 12), (500, 25), (1000, 50)),
        peer_seconds=10.0,
        search_placements=600_000,
        streams=MappingProxyType({10: None, 60: None, 300: 24.0}),
        reference_placements=4_000_000,
        seeds=8,
        tasks=(100, 1_000, 3_000, 10_000, 100_000),
        nodes=(10, 100, 1_000),
        attacks=8,
        steps=400,
    )


def quick(seed: int) -> Scale:
    return Scale(
        seed=seed,
        dags=6,
        exact_seconds=10.0,
        shapes=((50, 6), (200, 12)),
        peer_seconds=1.0,
        search_placements=50_000,
        streams=MappingProxyType({10: None, 60: None}),
        reference_placements=500_000,
        seeds=1,
        tasks=(100, 1_000, 3_000),
        nodes=(10, 100),
        attacks=2,
        steps=60,
    )
