"""Pipelines that KFP compiles, but that cannot run anywhere, or not here: each with the place and the reason of its refusal."""

from dataclasses import dataclass
from typing import Any

from kfp import dsl

from tests.unit.core_ir.corpus.components import add, echo, grade, halve, noop


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """`path` is the beginning of the place, `words` stand in the message."""

    pipeline: Any
    path: str
    words: str


@dsl.pipeline(name="branch-of-an-output-of-a-branch")
def branch_of_an_output_of_a_branch(n: int) -> str:
    with dsl.If(n > 0):
        first = add(a=n)
    with dsl.Else():
        second = add(a=0)
    chosen = dsl.OneOf(first.output, second.output)
    with dsl.If(chosen > 5):
        big = echo(text="big")
    with dsl.Else():
        small = echo(text="small")
    return dsl.OneOf(big.output, small.output)


@dsl.pipeline(name="text-of-a-sub-field")
def text_of_a_sub_field():
    with dsl.ParallelFor([{"rate": 0.5, "label": "a"}]) as setting:
        halve(x=setting.rate)
        echo(text=f"{setting.label}")


@dsl.pipeline(name="limit-from-outside-a-loop")
def limit_from_outside_a_loop(cpu: str = "1"):
    with dsl.ParallelFor([1, 2]) as n:
        add(a=n).set_cpu_limit(cpu)


@dsl.pipeline(name="quote-in-a-condition")
def quote_in_a_condition(text: str):
    with dsl.If(text == "it's"):
        noop()


@dsl.pipeline(name="number-and-text-in-a-condition")
def number_and_text_in_a_condition(n: int):
    with dsl.If(n != "x"):
        noop()


@dsl.pipeline(name="artifact-as-an-input")
def artifact_as_an_input(model: dsl.Input[dsl.Model]):
    grade(model=model)


REFUSED = [
    # KFP's compiler does not surface a OneOf that only a condition uses.
    Refusal(
        pipeline=branch_of_an_output_of_a_branch,
        path="root.dag.tasks.condition-branches-4.inputs.parameters",
        words="has no such output",
    ),
    # KFP's compiler loses what a sub-field of an item belongs to, in an f-string.
    Refusal(
        pipeline=text_of_a_sub_field,
        path="root.dag.tasks.for-loop-2.inputs.parameters",
        words="no parameter named",
    ),
    # KFP's compiler does not hand a loop what only a limit inside uses.
    Refusal(
        pipeline=limit_from_outside_a_loop,
        path="components.comp-for-loop-2.dag.tasks.add.inputs.parameters",
        words="give it to the task as an argument of its own",
    ),
    # KFP's compiler does not escape quotes.
    Refusal(
        pipeline=quote_in_a_condition,
        path="root.dag.tasks.condition-1.triggerPolicy.condition",
        words="KFP's compiler escapes no quotes",
    ),
    # KFP's compiler puts the whole conversion in quotes.
    Refusal(
        pipeline=number_and_text_in_a_condition,
        path="root.dag.tasks.condition-1.triggerPolicy.condition",
        words="compare values of one type",
    ),
    Refusal(
        pipeline=artifact_as_an_input,
        path="root.inputDefinitions.artifacts.model",
        words="import it inside the pipeline",
    ),
]
