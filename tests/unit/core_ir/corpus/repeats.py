"""Loops: over constants, parameters, outputs and artifacts, nested, limited, collected."""

# ruff: noqa: B006, UP006, UP035 (KFP reads defaults and List)

from typing import List

from kfp import dsl

from tests.unit.core_ir.corpus.case import ALWAYS, Case
from tests.unit.core_ir.corpus.components import (
    add,
    compare,
    count,
    echo,
    grade,
    halve,
    join,
    make,
    noop,
    option,
    settings,
    total,
    words,
)


@dsl.pipeline(name="loop-over-constants")
def loop_over_constants() -> float:
    with dsl.ParallelFor([1, 2, 3]) as n:
        more = add(a=n)
    return total(numbers=dsl.Collected(more.output)).output


@dsl.pipeline(name="loop-over-texts")
def loop_over_texts() -> str:
    with dsl.ParallelFor(["a", "b"]) as text:
        said = echo(text=text)
    return join(items=dsl.Collected(said.output)).output


@dsl.pipeline(name="loop-over-a-parameter")
def loop_over_a_parameter(numbers: list = [5, 6]) -> list:
    with dsl.ParallelFor(numbers) as n:
        more = add(a=n, b=0)
    return dsl.Collected(more.output)


@dsl.pipeline(name="loop-over-an-output")
def loop_over_an_output(n: int) -> float:
    numbers = count(n=n)
    with dsl.ParallelFor(numbers.output) as number:
        more = add(a=number)
    return total(numbers=dsl.Collected(more.output)).output


@dsl.pipeline(name="loop-over-objects")
def loop_over_objects():
    with dsl.ParallelFor([{"rate": 0.5, "step": 4.0}, {"rate": 2.0, "step": 8.0}]) as setting:
        halve(x=setting.rate)
        halve(x=setting.step)


@dsl.pipeline(name="loop-over-objects-of-an-output")
def loop_over_objects_of_an_output() -> str:
    with dsl.ParallelFor(settings().output) as setting:
        said = echo(text=setting.label)
        halve(x=setting.rate)
    return join(items=dsl.Collected(said.output)).output


@dsl.pipeline(name="loop-over-a-list-in-an-item")
def loop_over_a_list_in_an_item():
    with dsl.ParallelFor([{"ns": [1, 2]}, {"ns": [3]}]) as setting, dsl.ParallelFor(setting.ns) as n:
        add(a=n)


@dsl.pipeline(name="limited-loop")
def limited_loop():
    with dsl.ParallelFor([1, 2, 3, 4, 5], parallelism=2) as n:
        first = add(a=n)
        add(a=first.output)


@dsl.pipeline(name="one-at-a-time")
def one_at_a_time():
    with dsl.ParallelFor([1, 2, 3], parallelism=1) as n:
        add(a=n)
        add(a=n, b=2)


@dsl.pipeline(name="nested-loops")
def nested_loops() -> str:
    with dsl.ParallelFor([1, 2]) as i, dsl.ParallelFor([10, 20]) as j:
        sums = add(a=i, b=j)
    return join(items=dsl.Collected(sums.output)).output


@dsl.pipeline(name="nested-loops-of-artifacts")
def nested_loops_of_artifacts() -> int:
    with dsl.ParallelFor([1, 2]), dsl.ParallelFor([10, 20, 30]) as j:
        model = make(number=j)
    return compare(models=dsl.Collected(model.outputs["model"])).output


@dsl.pipeline(name="inner-loop-of-an-outer-output")
def inner_loop_of_an_outer_output():
    with dsl.ParallelFor([1, 2]) as n:
        numbers = count(n=n)
        with dsl.ParallelFor(numbers.output) as number:
            add(a=number)


@dsl.pipeline(name="three-levels")
def three_levels():
    with (
        dsl.ParallelFor([1, 2]) as i,
        dsl.ParallelFor([1, 2]) as j,
        dsl.ParallelFor([1, 2], parallelism=1) as k,
    ):
        first = add(a=i, b=j)
        add(a=first.output, b=k)


@dsl.pipeline(name="collected-from-an-inner-loop")
def collected_from_an_inner_loop():
    with dsl.ParallelFor([1, 2]) as i:
        with dsl.ParallelFor([1, 2, 3]) as j:
            sums = add(a=i, b=j)
        total(numbers=dsl.Collected(sums.output))


@dsl.pipeline(name="empty-loop")
def empty_loop() -> float:
    numbers = count(n=0)
    with dsl.ParallelFor(numbers.output) as n:
        more = add(a=n)
    return total(numbers=dsl.Collected(more.output)).output


@dsl.pipeline(name="loop-with-a-failure")
def loop_with_a_failure():
    with dsl.ParallelFor([1, 2, 3]) as n:
        more = add(a=n)
    total(numbers=dsl.Collected(more.output))
    noop()


@dsl.pipeline(name="condition-in-a-loop")
def condition_in_a_loop(least: int = 2):
    with dsl.ParallelFor([1, 2, 3]) as n:
        with dsl.If(n >= least):
            echo(text="enough")
        with dsl.Else():
            noop()


@dsl.pipeline(name="loop-in-a-condition")
def loop_in_a_condition(text: str):
    split = words(text=text)
    with dsl.If(text != ""), dsl.ParallelFor(split.output) as word:
        echo(text=word)


@dsl.pipeline(name="artifacts-of-a-loop")
def artifacts_of_a_loop():
    with dsl.ParallelFor([1, 2]) as n:
        model = make(number=n)
        grade(model=model.outputs["model"])


@dsl.pipeline(name="models")
def models(n: int = 2) -> List[dsl.Model]:
    with dsl.ParallelFor([1, 2]) as number:
        model = make(number=number)
    return dsl.Collected(model.outputs["model"])


@dsl.pipeline(name="loop-over-artifacts")
def loop_over_artifacts() -> str:
    many = models()
    with dsl.ParallelFor(many.output) as model:
        graded = grade(model=model)
    return join(items=dsl.Collected(graded.output)).output


@dsl.pipeline(name="loop-with-a-constant-inside")
def loop_with_a_constant_inside(b: int = 7):
    with dsl.ParallelFor([1, 2]):
        add(a=1, b=b)
        echo(text=f"b is {b}")


@dsl.pipeline(name="two-loops-in-a-row")
def two_loops_in_a_row() -> str:
    with dsl.ParallelFor([1, 2]) as n:
        first = add(a=n)
    with dsl.ParallelFor([3, 4]) as n:
        add(a=n).after(first)
    return join(items=dsl.Collected(first.output)).output


@dsl.pipeline(name="loop-over-what-was-collected")
def loop_over_what_was_collected():
    with dsl.ParallelFor([1, 2]) as n:
        first = add(a=n)
    joined = words(text="a b")
    with dsl.ParallelFor(joined.output) as word:
        echo(text=word).after(first)


@dsl.pipeline(name="part-of-an-object")
def part_of_an_object():
    whole = option()
    with dsl.ParallelFor([1]):
        echo(text=f"{whole.output}")


CASES = [
    Case(
        pipeline=loop_over_constants,
        succeeded="for-loop-2[0].add for-loop-2[1].add for-loop-2[2].add total",
        outputs={"Output": 9.0},
        most_live=3,
    ),
    Case(
        pipeline=loop_over_texts,
        succeeded="for-loop-2[0].echo for-loop-2[1].echo join",
        outputs={"Output": "a+b"},
    ),
    Case(
        pipeline=loop_over_a_parameter,
        parameters={"numbers": [7, 8, 9]},
        succeeded="for-loop-1[0].add for-loop-1[1].add for-loop-1[2].add",
        outputs={"Output": [7, 8, 9]},
    ),
    Case(pipeline=loop_over_a_parameter, parameters={"numbers": []}, outputs={"Output": []}),
    Case(
        pipeline=loop_over_an_output,
        parameters={"n": 3},
        succeeded="count for-loop-1[0].add for-loop-1[1].add for-loop-1[2].add total",
        outputs={"Output": 6.0},
    ),
    Case(
        pipeline=loop_over_objects,
        succeeded="for-loop-2[0].halve for-loop-2[0].halve-2 for-loop-2[1].halve for-loop-2[1].halve-2",
        given={"for-loop-2[1].halve": {"x": 2.0}, "for-loop-2[0].halve-2": {"x": 4.0}},
    ),
    Case(
        pipeline=loop_over_objects_of_an_output,
        succeeded="settings for-loop-1[0].echo for-loop-1[1].echo for-loop-1[0].halve for-loop-1[1].halve join",
        outputs={"Output": "slow+fast"},
        given={"for-loop-1[1].halve": {"x": 0.5}},
    ),
    Case(
        pipeline=loop_over_a_list_in_an_item,
        succeeded="for-loop-2[0].for-loop-3[0].add for-loop-2[0].for-loop-3[1].add for-loop-2[1].for-loop-3[0].add",
        given={"for-loop-2[1].for-loop-3[0].add": {"a": 3}},
    ),
    Case(
        pipeline=limited_loop,
        succeeded=" ".join(f"for-loop-2[{i}].add for-loop-2[{i}].add-2" for i in range(5)),
        most_live=2,
    ),
    Case(
        pipeline=one_at_a_time,
        succeeded=" ".join(f"for-loop-2[{i}].add for-loop-2[{i}].add-2" for i in range(3)),
        most_live=2,
    ),
    Case(
        pipeline=nested_loops,
        succeeded=" ".join(f"for-loop-2[{i}].for-loop-4[{j}].add" for i in range(2) for j in range(2))
        + " join",
        outputs={"Output": "[11, 21]+[12, 22]"},
    ),
    Case(
        pipeline=nested_loops_of_artifacts,
        succeeded=" ".join(f"for-loop-2[{i}].for-loop-4[{j}].make" for i in range(2) for j in range(3))
        + " compare",
        outputs={"Output": 6},
    ),
    Case(
        pipeline=inner_loop_of_an_outer_output,
        succeeded="for-loop-2[0].count for-loop-2[1].count for-loop-2[0].for-loop-3[0].add "
        "for-loop-2[1].for-loop-3[0].add for-loop-2[1].for-loop-3[1].add",
    ),
    Case(
        pipeline=three_levels,
        succeeded=" ".join(
            f"for-loop-2[{i}].for-loop-4[{j}].for-loop-6[{k}].{name}"
            for i in range(2)
            for j in range(2)
            for k in range(2)
            for name in ("add", "add-2")
        ),
        most_live=4,
    ),
    Case(
        pipeline=collected_from_an_inner_loop,
        succeeded=" ".join(f"for-loop-2[{i}].for-loop-4[{j}].add" for i in range(2) for j in range(3))
        + " for-loop-2[0].total for-loop-2[1].total",
        given={"for-loop-2[1].total": {"numbers": [3, 4, 5]}},
    ),
    Case(pipeline=empty_loop, succeeded="count total", outputs={"Output": 0.0}),
    Case(
        pipeline=loop_with_a_failure,
        failures={"for-loop-2[1].add": ALWAYS},
        outcome="FAILED",
        succeeded="for-loop-2[0].add for-loop-2[2].add noop",
        failed="for-loop-2[1].add",
        skipped="total",
    ),
    Case(
        pipeline=condition_in_a_loop,
        succeeded="for-loop-2[0].condition-branches-3.condition-5.noop "
        "for-loop-2[1].condition-branches-3.condition-4.echo for-loop-2[2].condition-branches-3.condition-4.echo",
    ),
    Case(
        pipeline=loop_in_a_condition,
        parameters={"text": "a b"},
        succeeded="words condition-1.for-loop-2[0].echo condition-1.for-loop-2[1].echo",
    ),
    Case(pipeline=loop_in_a_condition, parameters={"text": ""}, succeeded="words"),
    Case(
        pipeline=artifacts_of_a_loop,
        succeeded="for-loop-2[0].make for-loop-2[0].grade for-loop-2[1].make for-loop-2[1].grade",
    ),
    Case(
        pipeline=loop_over_artifacts,
        succeeded="models.for-loop-2[0].make models.for-loop-2[1].make for-loop-1[0].grade for-loop-1[1].grade join",
        outputs={"Output": "model+model"},
    ),
    Case(
        pipeline=loop_with_a_constant_inside,
        succeeded="for-loop-2[0].add for-loop-2[0].echo for-loop-2[1].add for-loop-2[1].echo",
        given={"for-loop-2[1].echo": {"text": "b is 7"}},
    ),
    Case(
        pipeline=two_loops_in_a_row,
        succeeded="for-loop-2[0].add for-loop-2[1].add for-loop-4[0].add-2 for-loop-4[1].add-2 join",
        outputs={"Output": "2+3"},
    ),
    Case(
        pipeline=loop_over_what_was_collected,
        succeeded="words for-loop-2[0].add for-loop-2[1].add for-loop-3[0].echo for-loop-3[1].echo",
    ),
    Case(pipeline=part_of_an_object, succeeded="option for-loop-2[0].echo"),
]
