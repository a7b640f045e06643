"""What every planner promises. A third party subclasses `PlannerContract` in its own tests and says what to make."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from itertools import count
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.errors import Unplannable
from nodewise.core.model.ids import NodeName
from nodewise.core.model.problem import (
    Objective,
    Planner,
    PlanningContext,
    Problem,
    ProblemNode,
    ProblemPipeline,
    ProblemTask,
    Schedule,
    TaskId,
)
from nodewise.core.model.resources import Resources
from nodewise.core.model.validation import violations
from tests.contracts.inherited import inherited
from tests.support.generated_problems import any_problems, problems

ROOM = Resources(millicores=1000, memory_mib=1000)


def stuck(problem: Problem) -> set[str]:
    """The tasks to be planned that no node can run, as a refusal names them."""
    able = {
        (pipeline.name, task.name)
        for pipeline in problem.pipelines
        for task in pipeline.tasks
        for node in problem.nodes
        if node.name in task.seconds and task.resources.fits_in(node.capacity)
    }
    return {
        f"{pipeline.name}/{task.name}"
        for pipeline in problem.pipelines
        for task in pipeline.tasks
        if (pipeline.name, task.name) not in able
        and TaskId(pipeline=pipeline.name, task=task.name) not in problem.fixed
    }


def turned_round(problem: Problem) -> Problem:
    """An equal problem whose mappings are in another order."""
    pipelines = tuple(
        replace(
            pipeline,
            tasks=tuple(
                replace(task, seconds=dict(reversed(list(task.seconds.items())))) for task in pipeline.tasks
            ),
        )
        for pipeline in problem.pipelines
    )
    fixed = dict(reversed(list(problem.fixed.items())))
    links = replace(problem.links, pairs=dict(reversed(list(problem.links.pairs.items()))))
    return replace(problem, pipelines=pipelines, fixed=fixed, links=links)


class PlannerContract(ABC):
    """Inherit, implement `make`, and let pytest collect."""

    @abstractmethod
    def make(self) -> Planner:
        """A new planner. One whose answer takes time may be given less of it than its users give."""

    def plan(
        self,
        problem: Problem,
        objective: Objective = Objective.BALANCED,
        *,
        seed: int = 7,
        out_of_time: Callable[[], bool] = lambda: False,
    ) -> Schedule | set[str]:
        """A schedule, or the tasks that are refused."""
        context = PlanningContext(rng=Random(seed), objective=objective, out_of_time=out_of_time)
        try:
            return self.make().plan(problem, context)
        except Unplannable as refusal:
            return set(refusal.tasks)

    def checked(self, problem: Problem, found: Schedule | set[str]) -> None:
        """Validity by the independent check; a refusal only of what cannot be done, and by name."""
        if isinstance(found, Schedule):
            assert violations(problem, found) == ()
            assert not stuck(problem)
        else:
            assert set() < found <= stuck(problem)

    def test_it_says_what_it_is(self) -> None:
        planner = self.make()
        assert planner.name == planner.name.strip().lower() != ""
        assert planner.summary
        assert "\n" not in planner.summary

    def test_nothing_to_plan_is_planned(self) -> None:
        node = ProblemNode(name=NodeName("n"), capacity=ROOM)
        for nodes in ((), (node,)):
            for pipelines in ((), (ProblemPipeline(name="p", tasks=()),)):
                found = self.plan(Problem(nodes=nodes, pipelines=pipelines))
                assert found == Schedule(assignments={})

    @pytest.mark.parametrize("seconds", [0.0, 2.5])
    def test_a_single_task_starts_at_once(self, seconds: float) -> None:
        node = ProblemNode(name=NodeName("n"), capacity=ROOM, slots=1)
        task = ProblemTask(name="t", resources=ROOM, seconds={node.name: seconds})
        problem = Problem(nodes=(node,), pipelines=(ProblemPipeline(name="p", tasks=(task,)),), now=4.0)
        found = self.plan(problem)
        assert isinstance(found, Schedule)
        (at,) = found.assignments.values()
        assert (at.node, at.start, at.end) == ("n", 4.0, 4.0 + seconds)

    @inherited
    @given(any_problems(), st.sampled_from(Objective))
    def test_a_plan_is_valid_or_refused_by_name_and_the_problem_left_as_it_is(
        self, problem: Problem, objective: Objective
    ) -> None:
        before = deepcopy(problem)
        self.checked(problem, self.plan(problem, objective))
        assert problem == before

    @inherited
    @given(any_problems(), st.sampled_from(Objective), st.integers(0, 3))
    def test_equal_inputs_give_equal_plans(self, problem: Problem, objective: Objective, seed: int) -> None:
        other = turned_round(problem)
        assert other == problem
        assert self.plan(problem, objective, seed=seed) == self.plan(other, objective, seed=seed)

    @inherited
    @given(problems(), st.sampled_from(Objective), st.integers(0, 30))
    def test_whenever_time_runs_out_there_is_a_valid_plan(
        self, problem: Problem, objective: Objective, questions: int
    ) -> None:
        asked = count()
        found = self.plan(problem, objective, out_of_time=lambda: next(asked) >= questions)
        self.checked(problem, found)
