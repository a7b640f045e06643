"""Conditions: If, Elif, Else, nested and in a row, on every type, and OneOf."""

from kfp import dsl

from tests.unit.core_ir.corpus.case import ALWAYS, Case
from tests.unit.core_ir.corpus.components import (
    add,
    echo,
    fail,
    grade,
    halve,
    make,
    maybe,
    no,
    noop,
    told,
    yes,
)


@dsl.pipeline(name="if-text")
def if_text(text: str):
    with dsl.If(text == "x"):
        echo(text="then")
    noop()


@dsl.pipeline(name="if-output")
def if_output(n: int = 1):
    sum_of = add(a=n)
    with dsl.If(sum_of.output > 5):
        inner = add(a=sum_of.output)
        add(a=inner.output)


@dsl.pipeline(name="if-else")
def if_else(n: int):
    with dsl.If(n >= 3):
        echo(text="many")
    with dsl.Else():
        echo(text="few")


@dsl.pipeline(name="if-elif-else")
def if_elif_else(n: int) -> str:
    with dsl.If(n < 0):
        first = echo(text="below")
    with dsl.Elif(n == 0):
        second = echo(text="none")
    with dsl.Elif(n <= 10):
        third = echo(text="some")
    with dsl.Else():
        fourth = echo(text="many")
    return dsl.OneOf(first.output, second.output, third.output, fourth.output)


@dsl.pipeline(name="one-of-consumed")
def one_of_consumed(flag: bool) -> str:
    with dsl.If(flag == True):  # noqa: E712 (KFP overloads it)
        first = echo(text="yes")
    with dsl.Else():
        second = echo(text="no")
    return echo(text=dsl.OneOf(first.output, second.output)).output


@dsl.pipeline(name="one-of-artifacts")
def one_of_artifacts(n: int) -> str:
    with dsl.If(n == 1):
        first = make(number=1)
    with dsl.Else():
        second = make(number=2)
    return grade(model=dsl.OneOf(first.outputs["model"], second.outputs["model"])).output


@dsl.pipeline(name="boolean-outputs")
def boolean_outputs():
    with dsl.If(yes().output == True):  # noqa: E712 (KFP overloads it)
        echo(text="a")
    with dsl.If(no().output == True):  # noqa: E712 (KFP overloads it)
        echo(text="b")


@dsl.pipeline(name="numbers-with-fractions")
def numbers_with_fractions(x: float = 3.0):
    half = halve(x=x)
    with dsl.If(half.output > 1.25):
        echo(text="more")
    with dsl.If(half.output < 1e-3):
        echo(text="less")
    with dsl.If(half.output != 1.5):
        echo(text="other")


@dsl.pipeline(name="two-outputs-compared")
def two_outputs_compared():
    left, right = add(a=1), add(a=2)
    with dsl.If(left.output < right.output):
        echo(text="less")
    with dsl.If(left.output == right.output):
        echo(text="same")


@dsl.pipeline(name="nested-conditions")
def nested_conditions(a: int, b: int):
    with dsl.If(a > 0):
        echo(text="a")
        with dsl.If(b > 0):
            echo(text="both")
        with dsl.Else():
            echo(text="only a")


@dsl.pipeline(name="skipped-in-a-chain")
def skipped_in_a_chain(text: str):
    with dsl.If(text == "go"):
        first = echo(text="1")
        second = echo(text=first.output)
        echo(text=second.output)


@dsl.pipeline(name="failure-in-a-branch")
def failure_in_a_branch(n: int = 1):
    with dsl.If(n == 1):
        broken = fail()
        echo(text=broken.output)
    with dsl.Else():
        noop()
    add(a=n)


@dsl.pipeline(name="condition-on-a-failure")
def condition_on_a_failure():
    broken = fail()
    with dsl.If(broken.output == "x"):
        noop()


@dsl.pipeline(name="empty-text")
def empty_text(text: str = ""):
    with dsl.If(text == ""):
        echo(text="empty")
    with dsl.Else():
        echo(text="full")


@dsl.pipeline(name="hostile-text")
def hostile_text(text: str = "zz' or '1'=='1"):
    out = echo(text=text)
    with dsl.If(out.output == "admin"):
        noop()


@dsl.pipeline(name="ignoring-a-branch")
def ignoring_a_branch(n: int):
    with dsl.If(n > 0):
        broken = fail()
        told(text=broken.output).ignore_upstream_failure()
    maybe(number=n)


CASES = [
    Case(pipeline=if_text, parameters={"text": "x"}, succeeded="condition-1.echo noop"),
    Case(pipeline=if_text, parameters={"text": "y"}, succeeded="noop"),
    Case(pipeline=if_output, parameters={"n": 1}, succeeded="add"),
    Case(pipeline=if_output, parameters={"n": 5}, succeeded="add condition-1.add-2 condition-1.add-3"),
    Case(pipeline=if_else, parameters={"n": 3}, succeeded="condition-branches-1.condition-2.echo"),
    Case(pipeline=if_else, parameters={"n": 2}, succeeded="condition-branches-1.condition-3.echo-2"),
    Case(
        pipeline=if_elif_else,
        parameters={"n": -1},
        succeeded="condition-branches-1.condition-2.echo",
        outputs={"Output": "below"},
    ),
    Case(
        pipeline=if_elif_else,
        parameters={"n": 10},
        succeeded="condition-branches-1.condition-4.echo-3",
        outputs={"Output": "some"},
    ),
    Case(
        pipeline=if_elif_else,
        parameters={"n": 11},
        succeeded="condition-branches-1.condition-5.echo-4",
        outputs={"Output": "many"},
    ),
    Case(
        pipeline=one_of_consumed,
        parameters={"flag": True},
        succeeded="condition-branches-1.condition-2.echo echo-3",
        outputs={"Output": "yes"},
    ),
    Case(
        pipeline=one_of_consumed,
        parameters={"flag": False},
        succeeded="condition-branches-1.condition-3.echo-2 echo-3",
        outputs={"Output": "no"},
    ),
    Case(
        pipeline=one_of_artifacts,
        parameters={"n": 7},
        succeeded="condition-branches-1.condition-3.make-2 grade",
        outputs={"Output": "model"},
    ),
    Case(pipeline=boolean_outputs, succeeded="yes no condition-1.echo"),
    Case(pipeline=numbers_with_fractions, succeeded="halve condition-1.echo"),
    Case(pipeline=two_outputs_compared, succeeded="add add-2 condition-1.echo"),
    Case(
        pipeline=nested_conditions,
        parameters={"a": 1, "b": 0},
        succeeded="condition-1.echo condition-1.condition-branches-2.condition-4.echo-3",
    ),
    Case(pipeline=nested_conditions, parameters={"a": 0, "b": 1}),
    Case(pipeline=skipped_in_a_chain, parameters={"text": "stay"}),
    Case(
        pipeline=skipped_in_a_chain,
        parameters={"text": "go"},
        failures={"condition-1.echo-2": ALWAYS},
        outcome="FAILED",
        succeeded="condition-1.echo",
        failed="condition-1.echo-2",
        skipped="condition-1.echo-3",
    ),
    Case(
        pipeline=failure_in_a_branch,
        outcome="FAILED",
        failed="condition-branches-1.condition-2.fail",
        skipped="condition-branches-1.condition-2.echo",
        succeeded="add",
    ),
    Case(pipeline=condition_on_a_failure, outcome="FAILED", failed="fail"),
    Case(pipeline=empty_text, succeeded="condition-branches-1.condition-2.echo"),
    Case(pipeline=hostile_text, succeeded="echo"),
    Case(
        pipeline=ignoring_a_branch,
        parameters={"n": 1},
        outcome="FAILED",
        failed="condition-1.fail",
        succeeded="condition-1.told maybe",
    ),
]
