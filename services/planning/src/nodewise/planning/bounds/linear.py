"""A linear relaxation of the whole problem, and a bound from it that no rounding error of the solver can spoil.

Each task is divided over nodes (x); it starts after its head, and after its parents' ends and the transfers that differing
divisions imply; it ends its tail before the whole; and no node holds more than it can, in the whole time or between a head
and a tail. Tasks of a schedule, undivided, satisfy all of that, so the least length is a lower bound.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import isfinite

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_matrix

from nodewise.planning.bounds.area import windows
from nodewise.planning.bounds.model import Floats, Relaxed
from nodewise.planning.bounds.paths import Transfers, horizon


@dataclass(slots=True)
class Rows:
    """Rows `sum(value x variable) <= limit` of a sparse matrix in the making."""

    row: list[int] = field(default_factory=list)
    column: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    limit: list[float] = field(default_factory=list)

    def add(self, terms: Iterable[tuple[int, float]], limit: float) -> None:
        """One more row."""
        for column, value in terms:
            self.row.append(len(self.limit))
            self.column.append(column)
            self.value.append(value)
        self.limit.append(limit)

    def matrix(self, columns: int) -> csr_matrix:
        """All rows so far."""
        return csr_matrix((self.value, (self.row, self.column)), shape=(len(self.limit), columns))


class Program:
    """The relaxation in the making: variables, rows, and where which variable stands."""

    def __init__(self, relaxed: Relaxed, horizon: float) -> None:
        self.relaxed = relaxed
        self.horizon = horizon
        self.lower: list[float] = []
        self.upper: list[float] = []
        self.at_most, self.equal = Rows(), Rows()
        tasks, nodes = relaxed.run.shape
        self.share = [
            {j: self._variable(0.0, 1.0) for j in range(nodes) if isfinite(relaxed.run[i, j])}
            for i in range(tasks)
        ]
        self.start = [
            self._variable(min(float(relaxed.heads[i, j]) for j in self.share[i]), horizon)
            for i in range(tasks)
        ]
        self.length = self._variable(relaxed.least, horizon)

    def _variable(self, lower: float, upper: float) -> int:
        self.lower.append(lower)
        self.upper.append(upper)
        return len(self.lower) - 1

    def apart(self) -> int:
        """A variable for how much of a task's data leaves a node."""
        return self._variable(0.0, 1.0)


def linear(relaxed: Relaxed) -> float:
    """The bound on the makespan; 0 if the solver gives no prices. Variables: tasks x nodes, edges x nodes."""
    latest = horizon(relaxed)
    if not len(relaxed.run) or not isfinite(latest):
        return relaxed.least
    program = Program(relaxed, latest)
    _divide(program)
    _order(program)
    _load(program)
    return _solve(program)


def _divide(program: Program) -> None:
    """Each task is divided over the nodes, starts after its head there, and leaves time for its tail."""
    relaxed = program.relaxed
    for i, shares in enumerate(program.share):
        program.equal.add(((x, 1.0) for x in shares.values()), 1.0)
        heads = [(x, float(relaxed.heads[i, j])) for j, x in shares.items()]
        program.at_most.add([*heads, (program.start[i], -1.0)], 0.0)
        ways = [(x, float(relaxed.run[i, j] + relaxed.tails[i, j])) for j, x in shares.items()]
        program.at_most.add([*ways, (program.start[i], 1.0), (program.length, -1.0)], 0.0)


def _order(program: Program) -> None:
    """A child starts after the end of its parent, and the transfer of what leaves the parent's node."""
    relaxed = program.relaxed
    leaving = Transfers(relaxed.instance).leaving
    rows = {task: row for row, task in enumerate(relaxed.instance.free)}
    for task in relaxed.instance.free:
        for parent, mib in relaxed.instance.parents[task]:
            if parent in rows:
                costs = mib * leaving if mib and np.isfinite(leaving).all() else np.zeros(len(leaving))
                _follow(program, rows[parent], rows[task], costs=costs)


def _follow(program: Program, parent: int, child: int, *, costs: Floats) -> None:
    terms = [(x, float(program.relaxed.run[parent, j])) for j, x in program.share[parent].items()]
    for j, x in program.share[parent].items():
        if costs[j] > 0:
            apart = program.apart()
            here = program.share[child].get(j)
            program.at_most.add([(x, 1.0), (apart, -1.0), *([(here, -1.0)] if here is not None else [])], 0.0)
            terms.append((apart, float(costs[j])))
    program.at_most.add([*terms, (program.start[parent], 1.0), (program.start[child], -1.0)], 0.0)


def _load(program: Program) -> None:
    """No node holds more than it can between a head and a tail: what starts there no earlier and leaves that tail.

    The windows are shorter than the whole surely is, so a node with none of these tasks satisfies its row as well.
    """
    relaxed = program.relaxed
    for start, rest in {(0.0, 0.0), *windows(relaxed)}:
        if start + rest >= relaxed.least:
            continue
        inside = (relaxed.heads >= start) & (relaxed.tails >= rest) & np.isfinite(relaxed.run)
        for limit in relaxed.limits:
            held = limit.held(start, relaxed.least - rest)
            for j in np.flatnonzero(np.isfinite(limit.capacity) & inside.any(axis=0)):
                work = limit.demand * np.where(inside[:, j], relaxed.run[:, j], 0.0)
                _hold(
                    program, int(j), work=work, size=float(limit.capacity[j]), gone=start + rest, held=held[j]
                )


def _hold(program: Program, node: int, *, work: Floats, size: float, gone: float, held: float) -> None:
    """Adds: work <= size x (length - gone) - held, divided by size."""
    rows = np.flatnonzero(work)
    if size > 0 and len(rows):
        terms = [(program.share[i][node], float(work[i]) / size) for i in rows]
        program.at_most.add([*terms, (program.length, -1.0)], -gone - float(held) / size)


def _solve(program: Program) -> float:
    """Weak duality with whatever prices the solver found: rounding can make the bound worse, never wrong.

    For prices >= 0 of the rows, the least of (length + price x violation) over the box of the variables is a lower
    bound; Neumaier, Shcherbina: "Safe bounds in linear and mixed-integer linear programming", Math. Prog. 99, 2004.
    """
    columns = len(program.lower)
    cost = np.zeros(columns)
    cost[program.length] = 1.0
    lower, upper = np.array(program.lower), np.array(program.upper)
    at_most, equal = program.at_most.matrix(columns), program.equal.matrix(columns)
    b_at_most, b_equal = np.array(program.at_most.limit), np.array(program.equal.limit)
    found = linprog(
        cost,
        A_ub=at_most,
        b_ub=b_at_most,
        A_eq=equal,
        b_eq=b_equal,
        bounds=np.column_stack((lower, upper)),
        method="highs",
    )
    if found.status != 0:
        return program.relaxed.least
    prices = np.maximum(0.0, -np.asarray(found.ineqlin.marginals))
    shifts = -np.asarray(found.eqlin.marginals)
    reduced = cost + at_most.T @ prices + equal.T @ shifts
    safe = np.minimum(reduced * lower, reduced * upper).sum() - prices @ b_at_most - shifts @ b_equal
    return max(program.relaxed.least, float(safe))
