"""Pipelines in pipelines, exit handlers, and everything at once."""

# ruff: noqa: UP045 (KFP reads defaults and Optional)

from typing import NamedTuple, Optional

from kfp import dsl

from tests.unit.core_ir.corpus.case import ALWAYS, Case
from tests.unit.core_ir.corpus.components import (
    add,
    compare,
    count,
    echo,
    fail,
    grade,
    load,
    make,
    maybe,
    noop,
    report,
    told,
    total,
    train,
)


@dsl.pipeline(name="inner")
def inner(n: int = 3) -> int:
    first = add(a=n)
    return add(a=first.output).output


@dsl.pipeline(name="two-outputs")
def two_outputs(rows: int) -> NamedTuple("Both", [("score", float), ("model", dsl.Model)]):
    data = load(rows=rows)
    model = train(data=data.outputs["data"], rate=0.5)
    return NamedTuple("Both", [("score", float), ("model", dsl.Model)])(
        model.outputs["Output"], model.outputs["model"]
    )


@dsl.pipeline(name="with-optional")
def with_optional(text: Optional[str] = None, number: int = 4) -> str:
    return maybe(text=text, number=number).output


@dsl.pipeline(name="taking-an-artifact")
def taking_an_artifact(model: dsl.Input[dsl.Model]) -> str:
    return grade(model=model).output


@dsl.pipeline(name="breaking")
def breaking() -> str:
    echo(text="before")
    return fail().output


@dsl.pipeline(name="sub-pipeline")
def sub_pipeline(n: int = 1) -> int:
    return inner(n=n).output


@dsl.pipeline(name="sub-pipeline-by-default")
def sub_pipeline_by_default() -> int:
    return inner().output


@dsl.pipeline(name="repeated-sub-pipeline")
def repeated_sub_pipeline() -> int:
    first = inner(n=1)
    second = inner(n=first.output)
    return add(a=first.output, b=second.output).output


@dsl.pipeline(name="sub-pipeline-with-artifacts")
def sub_pipeline_with_artifacts() -> str:
    both = two_outputs(rows=4)
    halved = echo(text=f"{both.outputs['score']}")
    graded = taking_an_artifact(model=both.outputs["model"])
    return echo(text=f"{halved.output} {graded.output}").output


@dsl.pipeline(name="optional-through-levels")
def optional_through_levels(text: Optional[str] = None):
    with_optional(text=text)
    with_optional()
    with_optional(text="t", number=1)


@dsl.pipeline(name="level-three")
def level_three(n: int) -> int:
    return inner(n=n).output


@dsl.pipeline(name="level-two")
def level_two(n: int) -> int:
    return level_three(n=level_three(n=n).output).output


@dsl.pipeline(name="deep")
def deep(n: int = 0) -> int:
    return level_two(n=n).output


@dsl.pipeline(name="failing-sub-pipeline")
def failing_sub_pipeline():
    broken = breaking()
    echo(text=broken.output)
    noop()


@dsl.pipeline(name="ignoring-a-sub-pipeline")
def ignoring_a_sub_pipeline():
    broken = breaking()
    told(text=broken.output).ignore_upstream_failure()


@dsl.pipeline(name="sub-pipeline-tried-again")
def sub_pipeline_tried_again() -> int:
    return add(a=inner(n=1).set_retry(2, backoff_duration="7s").output).output


@dsl.pipeline(name="sub-pipeline-in-a-loop")
def sub_pipeline_in_a_loop() -> float:
    with dsl.ParallelFor([1, 2]) as n:
        more = inner(n=n)
    return total(numbers=dsl.Collected(more.output)).output


@dsl.pipeline(name="sub-pipeline-in-a-branch")
def sub_pipeline_in_a_branch(n: int) -> int:
    with dsl.If(n > 0):
        first = inner(n=n)
    with dsl.Else():
        second = inner(n=0)
    return dsl.OneOf(first.output, second.output)


@dsl.pipeline(name="exit-handler")
def exit_handler(text: str = "x"):
    at_end = report(note="it ")
    with dsl.ExitHandler(at_end):
        echo(text=text)


@dsl.pipeline(name="exit-handler-after-a-failure")
def exit_handler_after_a_failure():
    at_end = report()
    with dsl.ExitHandler(at_end):
        broken = fail()
        echo(text=broken.output)


@dsl.pipeline(name="exit-handler-without-status")
def exit_handler_without_status():
    at_end = noop()
    with dsl.ExitHandler(at_end):
        fail()


@dsl.pipeline(name="two-exit-handlers")
def two_exit_handlers():
    with dsl.ExitHandler(report(note="a ")):
        echo(text="fine")
    with dsl.ExitHandler(report(note="b ")):
        fail()


@dsl.pipeline(name="failing-exit-task")
def failing_exit_task():
    with dsl.ExitHandler(fail()):
        echo(text="fine")


@dsl.pipeline(name="status-of-one-task")
def status_of_one_task():
    broken = fail()
    report(note="").after(broken).ignore_upstream_failure()


@dsl.pipeline(name="status-in-a-sub-pipeline")
def status_in_a_sub_pipeline():
    broken = breaking()
    report(note="sub ").after(broken).ignore_upstream_failure()


@dsl.pipeline(name="exit-handler-with-all")
def exit_handler_with_all(n: int = 3):
    with dsl.ExitHandler(report()):
        numbers = count(n=n)
        with dsl.ParallelFor(numbers.output, parallelism=2) as number:
            model = make(number=number)
            with dsl.If(number > 0):
                grade(model=model.outputs["model"])
        best = compare(models=dsl.Collected(model.outputs["model"]))
        with dsl.If(best.output == 3):
            yes = inner(n=best.output)
        with dsl.Else():
            no = inner(n=0)
        add(a=dsl.OneOf(yes.output, no.output))


@dsl.pipeline(name="collected-from-a-sub-pipeline")
def collected_from_a_sub_pipeline() -> int:
    with dsl.ParallelFor([1, 2], parallelism=1) as n:
        both = two_outputs(rows=n)
    return compare(models=dsl.Collected(both.outputs["model"])).output


CASES = [
    Case(pipeline=sub_pipeline, succeeded="inner.add inner.add-2", outputs={"Output": 3}),
    Case(pipeline=sub_pipeline_by_default, succeeded="inner.add inner.add-2", outputs={"Output": 5}),
    Case(
        pipeline=repeated_sub_pipeline,
        succeeded="inner.add inner.add-2 inner-2.add inner-2.add-2 add",
        outputs={"Output": 8},
    ),
    Case(
        pipeline=sub_pipeline_with_artifacts,
        succeeded="two-outputs.load two-outputs.train echo taking-an-artifact.grade echo-2",
        outputs={"Output": "2.0 model"},
    ),
    Case(
        pipeline=optional_through_levels,
        succeeded="with-optional.maybe with-optional-2.maybe with-optional-3.maybe",
        given={"with-optional-2.maybe": {"number": 4}, "with-optional-3.maybe": {"text": "t", "number": 1}},
    ),
    Case(
        pipeline=deep,
        succeeded=" ".join(
            f"level-two.{middle}.inner.{leaf}"
            for middle in ("level-three", "level-three-2")
            for leaf in ("add", "add-2")
        ),
        outputs={"Output": 4},
    ),
    Case(
        pipeline=failing_sub_pipeline,
        outcome="FAILED",
        succeeded="breaking.echo noop",
        failed="breaking.fail",
        skipped="echo",
    ),
    Case(
        pipeline=ignoring_a_sub_pipeline,
        outcome="FAILED",
        succeeded="breaking.echo told",
        failed="breaking.fail",
        given={"told": {"text": "nothing"}},
    ),
    Case(
        pipeline=sub_pipeline_tried_again,
        failures={"inner.add-2": ALWAYS},
        succeeded="inner.add inner~2.add inner~2.add-2 add",
        failed="inner.add-2",
        outputs={"Output": 4},
    ),
    Case(
        pipeline=sub_pipeline_tried_again,
        failures={"inner.add": ALWAYS, "inner~2.add": ALWAYS, "inner~3.add": ALWAYS},
        outcome="FAILED",
        failed="inner.add inner~2.add inner~3.add",
        skipped="inner.add-2 inner~2.add-2 inner~3.add-2 add",
    ),
    Case(
        pipeline=sub_pipeline_in_a_loop,
        succeeded="for-loop-2[0].inner.add for-loop-2[0].inner.add-2 "
        "for-loop-2[1].inner.add for-loop-2[1].inner.add-2 total",
        outputs={"Output": 7.0},
    ),
    Case(
        pipeline=sub_pipeline_in_a_branch,
        parameters={"n": -1},
        succeeded="condition-branches-1.condition-3.inner-2.add condition-branches-1.condition-3.inner-2.add-2",
        outputs={"Output": 2},
    ),
    Case(pipeline=exit_handler, succeeded="exit-handler-1.echo report"),
    Case(
        pipeline=exit_handler_after_a_failure,
        outcome="FAILED",
        failed="exit-handler-1.fail",
        skipped="exit-handler-1.echo",
        succeeded="report",
    ),
    Case(
        pipeline=exit_handler_without_status,
        outcome="FAILED",
        failed="exit-handler-1.fail",
        succeeded="noop",
    ),
    Case(
        pipeline=two_exit_handlers,
        outcome="FAILED",
        failed="exit-handler-2.fail",
        succeeded="exit-handler-1.echo report report-2",
    ),
    Case(pipeline=failing_exit_task, outcome="FAILED", succeeded="exit-handler-1.echo", failed="fail"),
    Case(pipeline=status_of_one_task, outcome="FAILED", failed="fail", succeeded="report"),
    Case(
        pipeline=status_in_a_sub_pipeline,
        outcome="FAILED",
        failed="breaking.fail",
        succeeded="breaking.echo report",
    ),
    Case(
        pipeline=exit_handler_with_all,
        succeeded="exit-handler-1.count exit-handler-1.for-loop-2[0].make exit-handler-1.for-loop-2[1].make "
        "exit-handler-1.for-loop-2[2].make exit-handler-1.for-loop-2[1].condition-3.grade "
        "exit-handler-1.for-loop-2[2].condition-3.grade exit-handler-1.compare "
        "exit-handler-1.condition-branches-4.condition-5.inner.add "
        "exit-handler-1.condition-branches-4.condition-5.inner.add-2 exit-handler-1.add report",
    ),
    Case(
        pipeline=collected_from_a_sub_pipeline,
        succeeded="for-loop-2[0].two-outputs.load for-loop-2[0].two-outputs.train "
        "for-loop-2[1].two-outputs.load for-loop-2[1].two-outputs.train compare",
        outputs={"Output": 2},
        most_live=1,
    ),
]
