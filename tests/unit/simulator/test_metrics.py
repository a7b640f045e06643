from nodewise.core.model.ids import NodeName
from nodewise.core.model.problem import Assignment, TaskId
from nodewise.simulator.metrics import Figures, figures
from nodewise.simulator.scenario import Outcome
from tests.support.scenarios import a_node, a_pipeline, a_scenario, a_task


def test_the_figures_are_what_they_say() -> None:
    task = a_task("a", {"n1": 2})
    problem = a_scenario([a_node()], a_pipeline(task), a_pipeline(task, name="q", submitted_at=1)).truth
    first, second = TaskId(pipeline="p", task="a"), TaskId(pipeline="q", task="a")
    made = {
        first: Assignment(id=first, node=NodeName("n1"), start=0.5, end=2.5),
        second: Assignment(id=second, node=NodeName("n1"), start=2.5, end=4.5),
    }
    found = figures(problem, Outcome(assignments=made, ready_at={first: 0.0, second: 1.0}))
    assert found == Figures(makespan=4.5, mean_flow=3.0, mean_wait=1.0)


def test_nothing_to_do_takes_no_time() -> None:
    problem = a_scenario([a_node()]).truth
    nothing = figures(problem, Outcome(assignments={}, ready_at={}))
    assert nothing == Figures(makespan=0.0, mean_flow=0.0, mean_wait=0.0)
