"""Part f: search for problems on which a planner loses to the simplest one.

The idea is PISA's (Coleman, Krishnamachari: "PISA: an adversarial approach to comparing task graph scheduling algorithms",
arXiv:2403.07120): simulated annealing over problems, with the ratio of two planners' makespans as what is to grow.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import exp
from random import Random

from bench.placement.checked import planned
from bench.placement.pool import each
from bench.placement.random_dags import CAPACITY
from bench.placement.report import Report, say, show
from bench.placement.scale import Scale
from bench.placement.targets import Target
from nodewise.core.model.ids import NodeName
from nodewise.core.model.problem import (
    Dependency,
    Links,
    Objective,
    Planner,
    Problem,
    ProblemNode,
    ProblemPipeline,
    ProblemTask,
)
from nodewise.planning import PLANNERS
from nodewise.planning.portfolio import Portfolio

VICTIM = "fastest_node"
ATTACKED = ("portfolio", "heft")
"""HEFT is attacked to show that the search finds something where there is something to find."""
NODES = tuple(NodeName(f"n{j}") for j in range(3))
TASKS = 7
HOT, COLD = 0.2, 0.01
"""Temperatures of the annealing, as differences of ratios."""
LONGEST_S, MOST_MIB = 20.0, 2000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One search against one planner."""

    planner: str
    seed: int
    steps: int


def run(scale: Scale) -> Report:
    """The worst that the searches found, for each planner attacked."""
    jobs = [
        Attack(planner=planner, seed=scale.seed + k, steps=scale.steps)
        for planner in ATTACKED
        for k in range(scale.attacks)
    ]
    found: dict[str, list[float]] = {planner: [] for planner in ATTACKED}
    for job, ratio in zip(jobs, each(search, jobs), strict=True):
        found[job.planner].append(ratio)
    show(
        f"f. worst makespan / {VICTIM}'s: {scale.attacks} searches of {scale.steps} problems each",
        ("planner", "worst", "searches that found a loss"),
        [
            (planner, f"{max(ratios):.4f}", str(sum(ratio > 1 for ratio in ratios)))
            for planner, ratios in found.items()
        ],
    )
    say("a ratio above 1 is a problem on which the planner loses to the simplest one")
    return Report(
        figures={"tasks": TASKS, "nodes": len(NODES), "worst_ratios": found},
        targets=(
            Target(part="f", what=f"worst portfolio / {VICTIM}", value=max(found["portfolio"]), limit=1.0),
        ),
    )


def search(attack: Attack) -> float:
    """The largest ratio found by one annealing."""
    planner: Planner = (
        Portfolio(placements=5_000, vain_steps=200)
        if attack.planner == "portfolio"
        else PLANNERS[attack.planner]
    )
    return anneal(lambda problem: ratio(planner, problem, seed=attack.seed), attack)


def ratio(planner: Planner, problem: Problem, *, seed: int) -> float:
    """The planner's makespan over the victim's."""
    mine, simplest = (
        planned(one, problem, objective=Objective.MAKESPAN, seed=seed, where="an adversary's problem")
        for one in (planner, PLANNERS[VICTIM])
    )
    return mine.makespan / simplest.makespan


def anneal(worth: Callable[[Problem], float], attack: Attack) -> float:
    """Simulated annealing over problems; return the best worth seen."""
    rng = Random(f"adversary {attack.seed}")
    current = start(rng)
    now = best = worth(current)
    for step in range(attack.steps):
        heat = HOT * (COLD / HOT) ** (step / attack.steps)
        changed = mutate(current, rng)
        then = worth(changed)
        if then >= now or rng.random() < exp((then - now) / heat):
            current, now = changed, then
        best = max(best, now)
    return best


def start(rng: Random) -> Problem:
    """A random problem of the size that is searched."""
    tasks = []
    for k in range(TASKS):
        parents = [p for p in range(k) if rng.random() < 0.4]
        tasks.append(
            ProblemTask(
                name=f"t{k}",
                seconds={name: rng.uniform(0.1, LONGEST_S) for name in NODES},
                after=tuple(Dependency(task=f"t{p}", mib=rng.uniform(0, MOST_MIB)) for p in parents),
            )
        )
    return Problem(
        nodes=tuple(ProblemNode(name=name, capacity=CAPACITY, slots=1) for name in NODES),
        pipelines=(ProblemPipeline(name="dag", tasks=tuple(tasks)),),
        links=Links(default_mib_per_s=100.0),
    )


def mutate(problem: Problem, rng: Random) -> Problem:
    """The problem with one run time, one amount of data, one edge or one link rate changed."""
    pipeline = problem.pipelines[0]
    k = rng.randrange(TASKS)
    change = rng.choice((_run_time, _data, _edge, None))
    if change is None:
        return replace(problem, links=Links(default_mib_per_s=10 ** rng.uniform(0, 4)))
    tasks = (*pipeline.tasks[:k], change(pipeline.tasks[k], k, rng), *pipeline.tasks[k + 1 :])
    return replace(problem, pipelines=(replace(pipeline, tasks=tasks),))


def _run_time(task: ProblemTask, _: int, rng: Random) -> ProblemTask:
    return replace(task, seconds={**task.seconds, rng.choice(NODES): rng.uniform(0.1, LONGEST_S)})


def _data(task: ProblemTask, _: int, rng: Random) -> ProblemTask:
    if not task.after:
        return task
    chosen = rng.randrange(len(task.after))
    after = list(task.after)
    after[chosen] = replace(after[chosen], mib=rng.uniform(0, MOST_MIB))
    return replace(task, after=tuple(after))


def _edge(task: ProblemTask, k: int, rng: Random) -> ProblemTask:
    """Take an edge away, or add one from an earlier task."""
    if not k:
        return task
    parent = f"t{rng.randrange(k)}"
    without = tuple(edge for edge in task.after if edge.task != parent)
    if len(without) < len(task.after):
        return replace(task, after=without)
    return replace(task, after=(*without, Dependency(task=parent, mib=rng.uniform(0, MOST_MIB))))
