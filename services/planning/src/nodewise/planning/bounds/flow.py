"""Lower bounds on the mean flow time: how soon all pipelines can be done on average.

Three relaxations. (1) Each pipeline has all nodes for itself. (2) All nodes are one machine that can divide its time at
will, with the prices of `area` as the measure of work; there, the shortest remaining work first is optimal (Schrage,
"A proof of the optimality of the shortest remaining processing time discipline", Operations Research 16, 1968). (3) The
same machine, but what counts is the mean busy time of the work, which is least in the order of weight over work (Goemans,
Queyranne, Schulz, Skutella, Wang: "Single machine scheduling with release dates", SIAM J. Discrete Math. 15(2), 2002),
plus what must follow the work in its own pipeline; mixed per pipeline with (1), in the shares that give most.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np

from nodewise.planning.bounds.area import Area, area, least_per_task, payments
from nodewise.planning.bounds.model import Floats, Ints, Relaxed

_ROUNDS = 40
_SHORTER = 0.85
"""Part of the pipelines, by their work, that the second set of prices is made for (the best of those tried on streams)."""
_WORK = 4e5
"""Tasks x rounds of mixing that may be spent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the one machine has to do; it does one unit of work per second.

    Attributes:
        amount: Work of each task.
        release: When the task may begin.
        rest: From the middle of the task's run to the end of its pipeline, at least.
        share: Of the task in the work of its pipeline.
        pipeline: Of the task, as an index into `total`.
        total: Work of each pipeline.
    """

    amount: Floats
    release: Floats
    rest: Floats
    share: Floats
    pipeline: Ints
    total: Floats


def flows(
    relaxed: Relaxed, busy: Area | None, out_of_time: Callable[[], bool] = lambda: False
) -> dict[str, float]:
    """Each bound on the mean flow time by its name; O(rounds x tasks log tasks) beside another `area`.

    Args:
        relaxed: The problem.
        busy: The area of all of it.
        out_of_time: Says when to be content with what is there.
    """
    pipelines = [p for p in relaxed.instance.problem.pipelines if p.tasks]
    if not pipelines:
        return {}
    submitted = float(sum(p.submitted_at - relaxed.origin for p in pipelines))
    alone = _alone(relaxed)
    found = {"pipelines alone": float(alone.sum())}
    if busy is not None:
        loads = [_load(relaxed, busy.payments)]
        loads += [_load(relaxed, paid) for paid in _of_the_shorter(relaxed, loads[0], out_of_time)]
        found["shortest remaining work"] = max(_shortest_remaining(load, alone) for load in loads)
        found["mean busy times"] = max(_mean_busy(load, alone, out_of_time) for load in loads)
    return {name: (total - submitted) / len(pipelines) for name, total in found.items()}


def _of_the_shorter(relaxed: Relaxed, load: Load, out_of_time: Callable[[], bool]) -> Iterator[Floats]:
    """Payments at the prices of what counts most: a mean hardly feels the few longest pipelines, which come last."""
    some = load.total[load.total > 0]
    if len(some) and not out_of_time():
        shorter = load.total <= np.quantile(some, _SHORTER)
        found = area(relaxed, chosen=shorter[relaxed.pipeline], out_of_time=out_of_time)
        if found is not None:
            yield payments(relaxed, found.prices)


def _alone(relaxed: Relaxed) -> Floats:
    """When each pipeline ends at least if it has all nodes for itself (0 for one without tasks)."""
    instance = relaxed.instance
    ends = np.zeros(len(instance.problem.pipelines))
    for task, (_, _, end) in instance.fixed.items():
        ends[instance.pipeline_of[task]] = max(ends[instance.pipeline_of[task]], end - relaxed.origin)
    ways = (relaxed.heads + relaxed.run + relaxed.tails).min(axis=1, initial=np.inf)
    np.maximum.at(ends, relaxed.pipeline, ways)
    return ends


def _load(relaxed: Relaxed, paid: Floats) -> Load:
    total = np.bincount(relaxed.pipeline, paid, minlength=len(relaxed.instance.problem.pipelines))
    of_task = total[relaxed.pipeline]
    return Load(
        amount=paid,
        release=least_per_task(relaxed, relaxed.heads),
        rest=least_per_task(relaxed, relaxed.run / 2 + relaxed.tails),
        share=np.divide(paid, of_task, out=np.zeros_like(paid), where=of_task > 0),
        pipeline=relaxed.pipeline,
        total=total.astype(np.float64),
    )


def _shortest_remaining(load: Load, alone: Floats) -> float:
    """Sum of the times at which pipelines end, the one with the least left always first."""
    release = np.full(len(load.total), np.inf)
    np.minimum.at(release, load.pipeline, load.release)
    arrivals = sorted((float(release[k]), float(left)) for k, left in enumerate(load.total) if left > 0)
    waiting: list[float] = []
    clock, ends = 0.0, float(alone[load.total <= 0].sum())
    for place, (at, left) in enumerate(arrivals):
        clock = max(clock, at)
        heappush(waiting, left)
        until = arrivals[place + 1][0] if place + 1 < len(arrivals) else np.inf
        while waiting and clock < until:
            shortest = heappop(waiting)
            if clock + shortest > until:
                heappush(waiting, shortest - (until - clock))
                clock = until
            else:
                clock += shortest
                ends += clock
    return ends


def _mean_busy(load: Load, alone: Floats, out_of_time: Callable[[], bool]) -> float:
    """The best mix found, by climbing: per pipeline, more of whichever of the two bounds is larger."""
    own = np.bincount(load.pipeline, load.share * load.rest, minlength=len(alone))
    mix = np.where(load.total > 0, 1.0, 0.0)
    best = 0.0
    rounds = int(max(3, min(_ROUNDS, _WORK / len(load.amount))))
    for k in range(rounds):
        if out_of_time():
            break
        middles = _middles(load, mix)
        together = np.bincount(load.pipeline, load.share * middles, minlength=len(alone)) + own
        best = max(best, float((mix * together + (1.0 - mix) * alone).sum()))
        gain = np.where(load.total > 0, together - alone, 0.0)
        step = gain / max(float(np.abs(gain).max()), 1e-300)
        mix = np.clip(mix + step / (1.0 + k / 4), 0.0, 1.0)
    return best


def _middles(load: Load, mix: Floats) -> Floats:
    """The mean time at which each task is worked on, when the dearest work that is there is always done first.

    Work of a pipeline is worth its mix over its work, whichever task it is of. The weighted sum of these means is the
    least that is possible.
    """
    worth = np.divide(mix, load.total, out=np.zeros_like(mix), where=load.total > 0)[load.pipeline]
    arrivals = sorted(
        (at, -w, i, left)
        for i, (at, w, left) in enumerate(
            zip(load.release.tolist(), worth.tolist(), load.amount.tolist(), strict=True)
        )
    )
    moments = [0.0] * len(arrivals)
    waiting: list[tuple[float, int, float]] = []
    clock = 0.0
    for place, (at, minus_worth, task, amount) in enumerate(arrivals):
        clock = max(clock, at)
        heappush(waiting, (minus_worth, task, amount))
        until = arrivals[place + 1][0] if place + 1 < len(arrivals) else np.inf
        while waiting and clock < until:
            first, i, left = heappop(waiting)
            part = min(left, until - clock)
            moments[i] += part * (clock + part / 2)
            clock += part
            if part < left:
                heappush(waiting, (first, i, left - part))
    means = load.release.copy()
    np.divide(np.array(moments), load.amount, out=means, where=load.amount > 0)
    return means
