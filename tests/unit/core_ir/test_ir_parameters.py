"""The parameters that a run is given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.errors import InvalidParameters
from nodewise.core.ir import Program, bind
from nodewise.core.ir.parameters import coerce, whole_numbers
from nodewise.core.ir.tree import Dag
from nodewise.core.model.component import Parameter, Signature, ValueKind

T = ValueKind


def pipeline(**parameters: Parameter) -> Program:
    root = Dag(name="root", signature=Signature(input_parameters=parameters))
    return Program(name="p", root=root, max_instances=1)


def required(kind: ValueKind) -> Parameter:
    return Parameter(kind=kind)


@pytest.mark.parametrize(
    ("kind", "value", "bound"),
    [
        (T.NUMBER_INTEGER, 3.0, 3),
        (T.NUMBER_INTEGER, -7, -7),
        (T.NUMBER_DOUBLE, 3, 3.0),
        (T.STRING, "3", "3"),
        (T.BOOLEAN, False, False),
        (T.LIST, [1, "x"], [1, "x"]),
        (T.STRUCT, {"a": None}, {"a": None}),
    ],
)
def test_a_value_of_the_type_is_bound(kind: ValueKind, value: object, bound: object) -> None:
    result = bind(pipeline(x=required(kind)), {"x": value})["x"]
    assert result == bound
    assert type(result) is type(bound)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (T.NUMBER_INTEGER, 3.5),
        (T.NUMBER_INTEGER, "3"),
        (T.NUMBER_INTEGER, True),
        (T.NUMBER_DOUBLE, True),
        (T.NUMBER_DOUBLE, float("nan")),
        (T.STRING, 3),
        (T.BOOLEAN, 0),
        (T.LIST, "x"),
        (T.LIST, {}),
        (T.STRUCT, []),
        (T.STRUCT, {"a": "\0"}),
        (T.STRING, None),
        (T.NUMBER_INTEGER, 2**80),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(kind: ValueKind, value: object) -> None:
    with pytest.raises(InvalidParameters) as refusal:
        bind(pipeline(x=required(kind)), {"x": value})
    assert refusal.value.parameter == "x"


def test_an_unknown_parameter_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidParameters, match=r"'lrs'.*parameters: lr, rows"):
        bind(pipeline(rows=required(T.STRING), lr=required(T.STRING)), {"lrs": 1})


def test_a_missing_parameter_is_refused() -> None:
    with pytest.raises(InvalidParameters, match="required"):
        bind(pipeline(rows=required(T.STRING)), {})


def test_defaults_fill_in_and_an_optional_one_may_stay_away() -> None:
    spec = pipeline(
        a=Parameter(kind=T.NUMBER_INTEGER, optional=True, default=3, has_default=True),
        b=Parameter(kind=T.STRING, optional=True),
    )
    # A pipeline in the pipeline may be given it, so it is there, without a value.
    assert bind(spec, {}) == {"a": 3, "b": None}
    assert bind(spec, {"a": 4, "b": None}) == {"a": 4, "b": None}


def test_null_in_place_of_a_default_is_refused_before_a_task_could_miss_it() -> None:
    spec = pipeline(least=Parameter(kind=T.NUMBER_DOUBLE, optional=True, default=0.5, has_default=True))
    with pytest.raises(InvalidParameters, match=r"least.*is null; leave it out for its default, 0\.5"):
        bind(spec, {"least": None})


@given(
    st.sampled_from(list(T)),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()),
)
def test_coercion_gives_a_value_or_a_rule(kind: ValueKind, value: object) -> None:
    try:
        result = coerce(value, kind)
    except ValueError:
        return
    # A whole number may be beyond what a double tells apart.
    assert result == value or value != value or (kind is T.NUMBER_DOUBLE and result == float(value))  # type: ignore[arg-type]


def test_whole_numbers_come_back_from_protobuf() -> None:
    assert (
        repr(whole_numbers({"a": [1.0, 2.5, {"b": 3.0}], "c": True}))
        == "{'a': [1, 2.5, {'b': 3}], 'c': True}"
    )
