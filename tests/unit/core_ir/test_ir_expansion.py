"""What placeholders may cost: time in line with the text, and no more text than a value can have."""

from collections.abc import Mapping
from typing import Any

import pytest

from nodewise.core.errors import TooMuchText
from nodewise.core.ir import RunFacts, advance, bind, read_program
from nodewise.core.ir.placeholders import LARGEST_TEXT, Reference, bounded_expansion, expand, references
from tests.support.pipelines import compiled

INPUT = "{{$.inputs.parameters['a']}}"


def hundred(_: Reference) -> object:
    return "x" * 100


def test_openings_that_are_never_closed_are_read_once() -> None:
    """By the square of the text, this would take days."""
    assert list(references("{{$" * 300_000)) == []
    assert expand("{{$" * 300_000 + INPUT, hundred) == "{{$" * 300_000 + "x" * 100


def test_a_text_of_very_many_placeholders_is_refused() -> None:
    fits = LARGEST_TEXT // 100
    assert expand(f"{INPUT * fits}.", hundred) == "x" * 100 * fits + "."
    with pytest.raises(TooMuchText, match=f"more than {LARGEST_TEXT} characters of one text"):
        expand(INPUT * (fits + 1), hundred)


def test_a_value_that_is_nothing_but_a_placeholder_is_passed_on_however_large() -> None:
    large = "x" * (2 * LARGEST_TEXT)
    assert expand(INPUT, lambda _: large) is large


def test_all_texts_of_one_look_share_a_bound() -> None:
    with bounded_expansion(250):
        expand([f"{INPUT}."] * 2, hundred)
        with pytest.raises(TooMuchText):
            expand(f"{INPUT}.", hundred)
    assert expand([f"{INPUT}."] * 9, hundred) == ["x" * 100 + "."] * 9


def test_a_task_whose_input_would_be_too_large_fails_and_says_why() -> None:
    ir: dict[str, Any] = compiled(tasks={"first": ()})
    task = ir["root"]["dag"]["tasks"]["first"]
    ir["root"]["inputDefinitions"] = {"parameters": {"a": {"parameterType": "STRING"}}}
    text = "{{$.inputs.parameters['pipelinechannel--a']}}" * 2000
    task.setdefault("inputs", {}).setdefault("parameters", {}).update(
        {
            "pipelinechannel--a": {"componentInputParameter": "a"},
            "text": {"runtimeValue": {"constant": text}},
        }
    )
    component = ir["components"][task["componentRef"]["name"]]
    component.setdefault("inputDefinitions", {}).setdefault("parameters", {}).update(
        {"text": {"parameterType": "STRING"}}
    )
    program = read_program(ir)
    step = advance(program, bind(program, {"a": "x" * 1000}), _no_rows(), facts=RunFacts())
    (failed,) = step.failed
    assert "input 'text': its placeholders would make more than" in str(failed)


def _no_rows() -> Mapping[str, Any]:
    return {}
