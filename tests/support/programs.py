"""Parts of programs by the names that a test knows them by."""

from nodewise.core.ir import Program, RunFacts, Values
from nodewise.core.ir.births import new_task
from nodewise.core.ir.jobs import build_job
from nodewise.core.ir.outline import outline
from nodewise.core.ir.tree import Component, Leaf, Step
from nodewise.core.model.birth import NewTask
from nodewise.core.model.component import PythonWork
from nodewise.core.model.ids import AttemptKey, RunId, TaskPath
from nodewise.core.model.job import Job
from nodewise.core.model.task import TaskSpec
from tests.support.dynamic_runs import FACTS


def step_of(program: Program, name: str) -> Step:
    """A step of the pipeline itself."""
    return next(step for step in program.root.steps if step.name == name)


def leaf_of(program: Program, name: str) -> Leaf:
    """The component of a task of the pipeline itself."""
    component = step_of(program, name).component
    assert isinstance(component, Leaf)
    return component


def python_of(program: Program, name: str) -> PythonWork:
    work = leaf_of(program, name).work
    assert isinstance(work, PythonWork)
    return work


def job_of(leaf: Leaf, inputs: Values, *, path: str = "fit", facts: RunFacts = FACTS) -> Job:
    """A job of that component, as a placer makes it."""
    key = AttemptKey(run_id=RunId(facts.run_id), path=TaskPath(path), attempt=1)
    spec = TaskSpec(path=key.path, component=leaf.name)
    return build_job(leaf, inputs, key=key, spec=spec, facts=facts)


def born(program: Program) -> dict[TaskPath, NewTask]:
    """All tasks that a run may come to, as they would be born, in an order in which they could run."""
    return {
        task.path: new_task(task.step, task.leaf, path=task.path, upstream=task.upstream, datasets={})
        for task in outline(program)
    }


def spec_of(program: Program, path: str) -> TaskSpec:
    return born(program)[TaskPath(path)].spec


def shown(program: Program) -> str:
    """All of a program, the parts too that `repr` leaves out: equal for equal pipelines."""
    return f"{program!r} {_shown(program.root)}"


def _shown(component: Component) -> str:
    if isinstance(component, Leaf):
        return repr(component)
    steps = [f"{step!r} {_shown(step.component)}" for step in component.steps]
    return f"{component!r} {steps}"
