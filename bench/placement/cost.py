"""Part e: what planning costs as tasks and nodes become many. Nothing else may run meanwhile."""

from collections.abc import Mapping, Sequence
from random import Random
from time import perf_counter

from bench.measure import growth, seconds
from bench.placement.checked import judged
from bench.placement.contest import OTHERS
from bench.placement.large import large_problem
from bench.placement.report import Report, show
from bench.placement.scale import Scale
from bench.placement.targets import Target
from nodewise.core.model.problem import Planner, PlanningContext, Problem
from nodewise.planning import PLANNERS

FAST = "heft"
"""The fast path: what plans when there is no time for anything better."""
MANY = 1_000
FEW_NODES = 10
LIMITS: Mapping[tuple[int, int], float] = {(1_000, 10): 0.05, (10_000, 1_000): 5.0}
LONGEST_S = 8.0
"""A planner that would take longer by its growth so far is not asked."""


def run(scale: Scale) -> Report:
    """Seconds per plan by tasks and by nodes, their growth, and the two sizes that have a limit."""
    by_tasks = [(tasks, FEW_NODES) for tasks in scale.tasks]
    by_nodes = [(MANY, nodes) for nodes in scale.nodes]
    shapes = list(dict.fromkeys([*by_tasks, *by_nodes]))
    problems = {shape: large_problem(*shape) for shape in shapes}
    rows: dict[str, dict[tuple[int, int], float]] = {name: {} for name in (FAST, *OTHERS)}
    for name, row in rows.items():
        for line in (by_tasks, by_nodes):
            measure(PLANNERS[name], problems, line, row)
    limits = [shape for shape in LIMITS if shape in shapes or max(scale.tasks) > max(shape)]
    for shape in limits:
        if shape not in rows[FAST]:
            rows[FAST][shape] = timed(PLANNERS[FAST], large_problem(*shape), repeats=1)
    growths = {name: _growths(row, by_tasks, by_nodes) for name, row in rows.items()}
    columns = list(dict.fromkeys([*shapes, *limits]))
    show(
        "e. seconds to plan (tasks x nodes); growth: the exponent, 1 is linear",
        ("planner", *(f"{tasks:,} x {nodes:,}" for tasks, nodes in columns), "by tasks", "by nodes"),
        [_cells(name, row, columns, growths[name]) for name, row in rows.items()],
    )
    return Report(
        figures={
            "seconds": {
                name: {f"{tasks} x {nodes}": found for (tasks, nodes), found in row.items()}
                for name, row in rows.items()
            },
            "growth": growths,
        },
        targets=tuple(
            Target(
                part="e",
                what=f"seconds of {FAST} for {tasks:,} tasks x {nodes:,} nodes",
                value=rows[FAST][tasks, nodes],
                limit=LIMITS[tasks, nodes],
            )
            for tasks, nodes in limits
        ),
    )


def measure(
    planner: Planner,
    problems: Mapping[tuple[int, int], Problem],
    line: Sequence[tuple[int, int]],
    row: dict[tuple[int, int], float],
) -> None:
    """Time the planner on ever larger problems, until the next one would take too long."""
    sizes: list[float] = []
    times: list[float] = []
    for shape in line:
        size = float(shape[0] * shape[1])
        if len(sizes) > 1 and foreseen(sizes, times, size) > LONGEST_S:
            return
        if shape not in row:
            row[shape] = timed(planner, problems[shape], repeats=3)
        sizes.append(size)
        times.append(row[shape])


def foreseen(sizes: Sequence[float], times: Sequence[float], size: float) -> float:
    """Seconds at that size, if the last growth goes on."""
    return float(times[-1] * (size / sizes[-1]) ** max(1.0, growth(sizes[-2:], times[-2:])))


def timed(planner: Planner, problem: Problem, *, repeats: int) -> float:
    """Median seconds of a plan; only one is made where that takes a second. The plan is checked.

    Raises:
        InvalidPlan: The check found something.
    """
    start = perf_counter()
    schedule = planner.plan(problem, PlanningContext(rng=Random(0)))
    first = perf_counter() - start
    judged(problem, schedule, who=planner.name, where="a large problem", seconds=first)
    if first > 1 or repeats == 1:
        return first
    return seconds(lambda: planner.plan(problem, PlanningContext(rng=Random(0))), repeats=repeats)


def _growths(
    row: Mapping[tuple[int, int], float],
    by_tasks: Sequence[tuple[int, int]],
    by_nodes: Sequence[tuple[int, int]],
) -> dict[str, float]:
    found = {}
    for name, line, k in (("tasks", by_tasks, 0), ("nodes", by_nodes, 1)):
        done = [shape for shape in line if shape in row]
        if len(done) > 1:
            found[name] = growth([shape[k] for shape in done], [row[shape] for shape in done])
    return found


def _cells(
    name: str,
    row: Mapping[tuple[int, int], float],
    columns: Sequence[tuple[int, int]],
    growths: Mapping[str, float],
) -> Sequence[str]:
    times = (f"{row[shape]:.4g}" if shape in row else "" for shape in columns)
    return (name, *times, *(f"{growths[key]:.2f}" if key in growths else "" for key in ("tasks", "nodes")))
