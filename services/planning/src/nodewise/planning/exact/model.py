"""The planning problem as a constraint model: which node each task runs on, and when it starts.

Every task has one start, and on each node that can run it an interval that is there or not; slots and resources are
cumulative constraints over the intervals of a node. Heads and tails (see `bounds.paths`) are stated as well, since they
follow from the rest but the solver would find them slowly.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite

from ortools.sat.python import cp_model

from nodewise.planning.bounds.model import Limit, Relaxed
from nodewise.planning.exact.ticks import Ticks
from nodewise.planning.instance import Instance


@dataclass(frozen=True, slots=True, kw_only=True)
class Variables:
    """What the solver decides, by task, and by pipeline the end (pipelines with tasks that are free only)."""

    start: dict[int, cp_model.IntVar]
    on: dict[int, dict[int, cp_model.IntVar]]
    end: dict[int, cp_model.LinearExpr]
    pipeline_end: dict[int, cp_model.IntVar]
    last: cp_model.IntVar


class Model:
    """Builds the constraints.

    Args:
        relaxed: Heads, tails and limits.
        ticks: How times become whole numbers.
        horizon: Some optimal plan ends by then, in ticks.
        implied: State the heads and tails too (without them a proof is longer, and does not rest on them).
    """

    def __init__(self, relaxed: Relaxed, ticks: Ticks, *, horizon: int, implied: bool = True) -> None:
        self.relaxed, self.ticks, self.horizon = relaxed, ticks, horizon
        self.instance: Instance = relaxed.instance
        self.cp = cp_model.CpModel()
        self.variables = self._variables()
        for row, task in enumerate(self.instance.free):
            self._end(task)
            if implied:
                self._bound(row, task)
            for parent, mib in self.instance.parents[task]:
                self._follow(parent, task, mib)
        for limit in relaxed.limits:
            for node in range(len(self.instance.problem.nodes)):
                self._share(limit, node)

    def _variables(self) -> Variables:
        instance, cp = self.instance, self.cp
        on = {i: {j: cp.new_bool_var(f"{i} on {j}") for j in instance.choices[i]} for i in instance.free}
        start = {
            i: cp.new_int_var(self.ticks.at(instance.release[i]), self.horizon, f"start of {i}") for i in on
        }
        end = {
            i: start[i] + sum(self._run(i, j) * here for j, here in nodes.items()) for i, nodes in on.items()
        }
        for nodes in on.values():
            cp.add_exactly_one(nodes.values())
        ends = {
            k: cp.new_int_var(self._fixed_end(k), self.horizon, f"end of pipeline {k}")
            for k in sorted({instance.pipeline_of[i] for i in instance.free})
        }
        fixed = [self.ticks.at(end) for _, _, end in instance.fixed.values()]
        last = cp.new_int_var(max([0, *fixed]), self.horizon, "last end")
        for end_of_pipeline in ends.values():
            cp.add(last >= end_of_pipeline)
        return Variables(start=start, on=on, end=end, pipeline_end=ends, last=last)

    def _run(self, task: int, node: int) -> int:
        return self.ticks.of(self.instance.seconds[task][node])

    def _fixed_end(self, pipeline: int) -> int:
        instance = self.instance
        ends = [end for i, (_, _, end) in instance.fixed.items() if instance.pipeline_of[i] == pipeline]
        return max([0, *map(self.ticks.at, ends)])

    def _end(self, task: int) -> None:
        made = self.variables
        self.cp.add(made.pipeline_end[self.instance.pipeline_of[task]] >= made.end[task])

    def _bound(self, row: int, task: int) -> None:
        """The task starts after its head on its node, and its pipeline ends no sooner than its tail later."""
        made, relaxed = self.variables, self.relaxed
        shift = relaxed.origin - self.ticks.base
        heads = {j: self.ticks.of(float(relaxed.heads[row, j]) + shift) for j in made.on[task]}
        tails = {j: self.ticks.of(float(relaxed.tails[row, j])) for j in made.on[task]}
        self.cp.add(made.start[task] >= sum(heads[j] * here for j, here in made.on[task].items()))
        end = made.pipeline_end[self.instance.pipeline_of[task]]
        self.cp.add(end >= made.end[task] + sum(tails[j] * here for j, here in made.on[task].items()))

    def _follow(self, parent: int, child: int, mib: float) -> None:
        """Precedence, and the transfer between the nodes."""
        made, rates = self.variables, self.instance.rates
        if parent in self.instance.fixed:
            source, _, end = self.instance.fixed[parent]
            waits = {j: mib / rates[source][j] if mib else 0.0 for j in made.on[child]}
            arrivals = (max(0, self.ticks.at(end + waits[j])) * here for j, here in made.on[child].items())
            self.cp.add(made.start[child] >= sum(arrivals))
            return
        self.cp.add(made.start[child] >= made.end[parent])
        if not mib:
            return
        for source, left in made.on[parent].items():
            targets = {j: rate for j, rate in enumerate(rates[source]) if j != source and j in made.on[child]}
            if len(set(targets.values())) == 1:
                wait = self.ticks.of(mib / next(iter(targets.values())))
                stays = made.on[child].get(source)
                apart = [left] if stays is None else [left, stays.negated()]
                self.cp.add(made.start[child] >= made.end[parent] + wait).only_enforce_if(apart)
                continue
            for target, rate in targets.items():
                wait = self.ticks.of(mib / rate) if rate > 0 else self.horizon
                both = [left, made.on[child][target]]
                self.cp.add(made.start[child] >= made.end[parent] + wait).only_enforce_if(both)

    def _share(self, limit: Limit, node: int) -> None:
        """At no time the node's tasks take more of it than there is. Tasks that take no time take nothing."""
        capacity = limit.capacity[node]
        if not isfinite(capacity):
            return
        intervals, demands = [], []
        for row, task in enumerate(self.instance.free):
            here, run = self.variables.on[task].get(node), 0
            if here is not None and limit.demand[row] and (run := self._run(task, node)):
                start, name = self.variables.start[task], f"{task} on {node} for {run}"
                intervals.append(self.cp.new_optional_fixed_size_interval_var(start, run, here, name))
                demands.append(int(limit.demand[row]))
        if not intervals:
            return
        for since, until, used in self._held(limit, node):
            intervals.append(self.cp.new_fixed_size_interval_var(since, until - since, f"held {since}"))
            demands.append(used)
        if all(2 * demand > capacity for demand in demands):
            self.cp.add_no_overlap(intervals)
        elif sum(demands) > capacity:
            self.cp.add_cumulative(intervals, demands, int(capacity))

    def _held(self, limit: Limit, node: int) -> Iterator[tuple[int, int, int]]:
        """From when to when fixed tasks hold how much, in disjoint pieces and never more than there is."""
        shift = self.relaxed.origin - self.ticks.base
        held = [(b + shift, e + shift, a) for where, b, e, a in limit.bookings if where == node and a]
        edges = sorted({0.0, *(t for begin, end, _ in held for t in (begin, end) if t > 0)})
        for begin, end in pairwise(edges):
            used = sum(amount for start, stop, amount in held if start <= begin and end <= stop)
            first, behind = -self.ticks.of(-begin), self.ticks.of(end)
            if used and first < behind:
                yield first, behind, int(min(used, limit.capacity[node]))
