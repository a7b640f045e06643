"""Conditions and selectors mean what they mean in CEL, and nothing but a value comes out of them."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.errors import InvalidPipeline, UnsupportedFeature
from nodewise.core.ir.evaluation import ExpressionFailed, holds, select
from nodewise.core.ir.expressions import inputs_of, parse_expression

X = "inputs.parameter_values['x']"


def decide(text: str, **inputs: Any) -> bool:
    return holds(parse_expression(text, path="p"), inputs)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (f"{X} == 'a'", "a"),
        (f"{X} != 'a'", "b"),
        (f"int({X}) > 1", 2),
        (f"int({X}) > 1", 2.0),
        (f"int({X}) <= -1", -1),
        (f"double(int({X})) >= 1.5", 2),
        (f"{X} < 1e-3", 0.0001),
        (f"{X} > 1e+20", 1e300),
        (f"{X} == true", True),
        (f"{X} == false", False),
        (f"!({X} == true)", False),
        (f"!(int({X}) > 1) && int({X}) == 0", 0),
        (f"{X} == 'a' || {X} == 'b'", "b"),
        (f"({X} == 'a' || {X} == 'b') && !({X} == 'b')", "a"),
        (f'{X} == "a\\n\\"b\\""', 'a\n"b"'),
        (f"{X} == 'it\\'s'", "it's"),
        (f"{X} > 'a'", "b"),
        (f"{X} == null", None),
        (f"'{{}}' != {X}", "x"),
        (f"{X} == 1", 1.0),
        ("true", None),
        (f"string({X}) == '3'", 3),
        (f"parseJson({X})['a'][1] == 2", '{"a": [1, 2]}'),
        (f"parseJson({X}).a == 1", '{"a": 1}'),
        (f"int({X}) == 12", "12"),
    ],
)
def test_what_holds(text: str, value: object) -> None:
    assert decide(text, x=value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (f"{X} == 1", True),
        (f"{X} == true", 1),
        (f"{X} == '1'", 1),
        (f"{X} == 'admin'", "zz' or '1'=='1"),
        (f"{X} == 'admin'", "admin' || true || '"),
    ],
)
def test_types_and_texts_are_kept_apart(text: str, value: object) -> None:
    assert not decide(text, x=value)


@pytest.mark.parametrize(
    ("text", "value", "words"),
    [
        (f"{X} > 1", "2", "cannot compare"),
        (f"{X} > true", 1, "cannot compare"),
        (f"int({X}) > 1", "two", "no whole number"),
        (f"int({X}) > 1", True, "no whole number"),
        (f"double({X}) > 1.0", "nan", "no number"),
        (f"int({X}) > 1", float("inf"), "no whole number"),
        (X, "text", "neither true nor false"),
        (f"!{X}", 1, "neither true nor false"),
        (f"-{X} == 1", "a", "has no negative"),
        ("inputs.parameter_values['y'] == 1", 1, "has no value"),
        (f"parseJson({X}) == 1", "{", "is not JSON"),
        (f"parseJson({X})['a'] == 1", "{}", "no field"),
        (f"parseJson({X})[4] == 1", "[]", "no item"),
    ],
)
def test_what_cannot_be_decided(text: str, value: object, words: str) -> None:
    with pytest.raises(ExpressionFailed, match=words):
        decide(text, x=value)


def test_one_term_that_decides_makes_up_for_another_that_fails() -> None:
    assert not decide(f"int({X}) > 1 && 1 == 2", x="two")
    assert decide(f"int({X}) > 1 || 1 == 1", x="two")


@pytest.mark.parametrize(
    "text",
    ["", "a ==", "'it's' == 'x'", "1 = 1", "(1 == 1", "1 == 1)", "1 == 2 == 3", "inputs", "inputs.parameter_values",
     "inputs.parameter_values[x]", "inputs.parameter_values['x'", "'a", "1 1", "&& 1", "1 ==== 1", "$", "{{$.x}}", "'\\q' == 'q'",
     "(" * 500, "!" * 500 + "true", "[1]", "true" + ".a" * 200, "1" * 5000, "1e999", "x" * 30_000],
)  # fmt: skip
def test_what_is_no_expression(text: str) -> None:
    with pytest.raises(InvalidPipeline) as refused:
        parse_expression(text, path="root.x")
    assert refused.value.path == "root.x"
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    "text",
    [
        "size('a') == 1",
        "__import__('os').system('x') == 0",
        "inputs.artifacts['x'] == 1",
        "outputs == 1",
        "timestamp('x') == 1",
    ],
)
def test_what_is_not_supported(text: str) -> None:
    with pytest.raises(UnsupportedFeature):
        parse_expression(text, path="p")


def test_many_terms_are_flat() -> None:
    assert decide(" && ".join(["1 == 1"] * 1500))


def test_the_inputs_of_a_condition() -> None:
    text = f"!({X} == 'a') || int(inputs.parameter_values['y']) > 1"
    assert inputs_of(parse_expression(text, path="p")) == {"x", "y"}


@pytest.mark.parametrize(
    ("selector", "value", "part"),
    [
        ('parseJson(string_value)["a"]', {"a": [1]}, [1]),
        ('parseJson(string_value)["a"]', '{"a": 2}', 2),
        ('parseJson(string_value)["a"]["b"][0]', {"a": {"b": [3]}}, 3),
        ("parseJson(string_value)", [1], [1]),
    ],
)
def test_a_selector_takes_a_part(selector: str, value: object, part: object) -> None:
    assert select(parse_expression(selector, path="p"), value) == part


TOKENS = ["inputs", ".", "parameter_values", "[", "'x'", "]", "==", "<", "&&", "||", "!", "(", ")", "int", "1", "2.5", "-", "true",
          "'", '"', "parseJson", "string_value", " ", "null", X, f"{X} == 'a'", "string"]  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)


@given(text=st.lists(st.sampled_from(TOKENS), max_size=14).map("".join) | st.text(max_size=20), value=VALUES)
def test_any_text_is_refused_or_comes_to_a_value(text: str, value: object) -> None:
    try:
        expression = parse_expression(text, path="p")
    except InvalidPipeline:
        return
    for evaluate in (lambda: holds(expression, {"x": value}), lambda: select(expression, value)):
        with contextlib.suppress(ExpressionFailed):
            evaluate()
