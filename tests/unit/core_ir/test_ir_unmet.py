"""What a condition that is not met is told as: in words, with the values that decided."""

from typing import Any

import pytest

from nodewise.core.ir import Row, Values, advance, bind, read_program
from nodewise.core.ir.expressions import parse_expression
from nodewise.core.ir.moves import CODES, Cause
from nodewise.core.ir.tree import Dag, FromInput, FromStep, ParameterBinding, Step
from nodewise.core.ir.unmet import why_not_met
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.artifact import TaskOutputs
from nodewise.core.model.component import Signature
from nodewise.core.model.ids import TaskPath
from tests.support.whole_pipelines import program
from tests.unit.core_ir.corpus.handwritten import document, leaf, task

X, Y = "inputs.parameter_values['x']", "inputs.parameter_values['pipelinechannel--y']"


def told(condition: str, **values: Any) -> str:
    """`x` comes from the output `Output` of `flip`, `y` is a parameter of the pipeline."""
    step = Step(
        name="branch",
        component=Dag(name="branch", signature=Signature()),
        parameters={
            "x": ParameterBinding(source=FromStep(step="flip", output="Output")),
            "pipelinechannel--y": ParameterBinding(source=FromInput(name="pipelinechannel--y")),
        },
        condition=parse_expression(condition, path="here"),
    )
    named = {("pipelinechannel--y" if name == "y" else name): value for name, value in values.items()}
    return why_not_met(step, Values(parameters=named))


@pytest.mark.parametrize(
    ("condition", "values", "text"),
    [
        (f"{X} == 'heads'", {"x": "tails"}, 'flip.Output == "heads", but flip.Output is "tails"'),
        (f"int({X}) > int({Y})", {"x": 1, "y": 2}, "flip.Output > y, but flip.Output is 1 and y is 2"),
        (f"!({X} == true)", {"x": True}, "not (flip.Output == true), but flip.Output is true"),
        (f"{X} < 1 && {Y} < -2", {"x": 3, "y": 4}, "flip.Output < 1 and y < -2, but flip.Output is 3 and y is 4"),
        (f"({X} == 1 || {X} == 2) && {Y} == 3", {"x": 5, "y": 3},
         "(flip.Output == 1 or flip.Output == 2) and y == 3, but flip.Output is 5 and y is 3"),
        (f"string({X}) == 'a'", {"x": 5}, 'string(flip.Output) == "a", but flip.Output is 5'),
        ("1 > 2", {}, "1 > 2"),
    ],
)  # fmt: skip
def test_a_condition_is_told_with_its_values(condition: str, values: dict[str, Any], text: str) -> None:
    assert told(condition, **values) == f"its condition is not met: {text}"


@pytest.mark.parametrize(
    "value", ["x" * 10_000, "\x00", "\ud800", float("nan"), ["a" * 500], {"a": object()}]
)
def test_whatever_the_value_is_the_sentence_is_short_and_storable(value: object) -> None:
    text = told(f"{X} == 'a'", x=value)
    assert len(text) < 700
    assert "\x00" not in text
    assert text.encode("utf-8")


def test_a_branch_that_is_not_taken_says_so_as_a_group() -> None:
    whole = program("everything")
    rows = {
        TaskPath(f"exit-handler-1.{name}"): Row(
            state=TaskState.SUCCEEDED, outputs=TaskOutputs(parameters={"Output": output})
        )
        for name, output in (("count", []), ("compare", 0))
    }
    found = advance(whole, bind(whole, {"n": 0}), rows)
    groups = {group.path.rpartition(".")[2]: group for group in found.groups}
    assert (groups["condition-5"].state, groups["condition-5"].cause) == (TaskState.SKIPPED, Cause.CONDITION)
    assert groups["condition-5"].reason == (
        "its condition is not met: compare-Output >= least, but compare-Output is 0 and least is 2"
    )
    assert groups["condition-6"].cause is None


def test_a_part_that_is_not_begun_says_what_it_waits_for() -> None:
    whole = program("everything")
    groups = {group.path: group for group in advance(whole, bind(whole, {}), {}).groups}
    loop = groups[TaskPath("exit-handler-1.for-loop-2")]
    assert (loop.state, loop.reason, loop.cause) == (TaskState.WAITING, "waits for count", None)


def test_a_task_with_a_condition_of_its_own_says_so_in_its_row() -> None:
    guarded = {**task("leaf", after=["a"]), "triggerPolicy": {"condition": "1 > 2"}}
    whole = read_program(document({"a": task("leaf"), "b": guarded}, {"leaf": leaf()}))
    found = advance(whole, {}, {TaskPath("a"): Row(state=TaskState.SUCCEEDED)})
    assert [(skip.path, skip.cause, skip.reason) for skip in found.skipped] == [
        ("b", Cause.CONDITION, "its condition is not met: 1 > 2")
    ]


def test_every_cause_has_its_code() -> None:
    assert CODES.keys() == set(Cause)
