"""What would fail in every run is refused before, with its place; what may run is not, and what is let through does run."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.errors import InvalidPipeline
from nodewise.core.ir import Program, read_program
from nodewise.core.ir.foresight import check_foreseeable
from tests.support.dynamic_runs import FakeRun
from tests.unit.core_ir.corpus.handwritten import dag, document, leaf, task

RAW = "root.dag.tasks.loop.parameterIterator.items.raw"
KINDS = ("STRING", "NUMBER_INTEGER", "NUMBER_DOUBLE", "BOOLEAN", "LIST", "STRUCT")
ITEM = {"componentInputParameter": "item"}
FIELD = {**ITEM, "parameterExpressionSelector": 'parseJson(string_value)["a"]'}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(-3, 3, width=16),
    st.sampled_from(["", "a", "3", "true", "[1]"]),
)
ITEMS = st.one_of(VALUES, st.lists(VALUES, max_size=2), st.dictionaries(st.sampled_from("ab"), VALUES))  # fmt: skip


def loop(
    items: list[Any], kind: str, *, source: dict[str, Any] | None = None, declared: str = "STRING"
) -> dict[str, Any]:
    """A loop over constants: of a leaf that takes an item of that kind; with a `source`, of a DAG whose task `x` takes that."""
    if source is None:
        return document({"loop": task("leaf", items=items)}, {"leaf": leaf(takes={"item": kind})})
    inner = task("leaf") | {"inputs": {"parameters": {"n": source}}}
    body = dag({"x": inner}, inputs={"item": declared})
    return document({"loop": task("body", items=items)}, {"body": body, "leaf": leaf(takes={"n": kind})})


def body(ir: dict[str, Any]) -> Any:
    return ir["components"]["body"]["dag"]["tasks"]


def behind_a_condition(ir: dict[str, Any], condition: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """The same, with what the body does in a branch."""
    kinds = dict.fromkeys(inputs, "STRING")
    ir["components"]["branch"] = dag(ir["components"]["body"]["dag"]["tasks"], inputs=kinds)
    branch = task("branch") | {"inputs": {"parameters": inputs}, "triggerPolicy": {"condition": condition}}
    ir["components"]["body"]["dag"]["tasks"] = {"if": branch}
    return ir


def refusal(ir: dict[str, Any], *, fractions: bool = False) -> InvalidPipeline:
    with pytest.raises(InvalidPipeline) as refused:
        check_foreseeable(read_program(ir), fractions=fractions)
    return refused.value


def outcome(ir: dict[str, Any], **parameters: object) -> object:
    """How a run of what is let through ends."""
    program = read_program(ir)
    check_foreseeable(program)
    return FakeRun(program=program, parameters=parameters).run().outcome


@pytest.mark.parametrize(
    ("kind", "item"),
    [("NUMBER_INTEGER", "a"), ("NUMBER_INTEGER", 2.5), ("NUMBER_DOUBLE", "1"), ("BOOLEAN", 1), ("LIST", "[1]"), ("STRUCT", [])],
)  # fmt: skip
@pytest.mark.parametrize("source", [None, ITEM], ids=["leaf", "body"])
def test_an_item_of_another_type_is_refused(kind: str, item: object, source: dict[str, Any] | None) -> None:
    refused = refusal(loop([item], kind, source=source))
    assert refused.path == f"{RAW}[0]"
    assert "must be" in refused.rule
    assert f"({kind})" in refused.rule
    assert "change the item" in refused.rule


def test_an_item_that_the_body_itself_does_not_take_is_refused() -> None:
    refused = refusal(loop([1, "a"], "STRING", source=ITEM, declared="NUMBER_INTEGER"))
    assert refused.path == f"{RAW}[1]"
    assert "the input 'item' of root.dag.tasks.loop" in refused.rule


def test_an_item_without_the_field_that_is_taken_is_refused() -> None:
    refused = refusal(loop([{"a": 1}, {"b": 1}], "NUMBER_INTEGER", source=FIELD, declared="STRUCT"))
    assert refused.path == f"{RAW}[1]"
    assert refused.rule.startswith("there is no field 'a', for the input 'n' of components.body.dag.tasks.x")


def test_a_field_of_another_type_is_refused() -> None:
    assert refusal(loop([{"a": "x"}], "NUMBER_INTEGER", source=FIELD, declared="STRUCT")).path == f"{RAW}[0]"


def test_an_item_that_a_placeholder_puts_in_is_refused() -> None:
    source = {"runtimeValue": {"constant": "{{$.inputs.parameters['given']}}"}}
    ir = loop(["a"], "NUMBER_INTEGER", source=source)
    body(ir)["x"]["inputs"]["parameters"]["given"] = ITEM
    assert refusal(ir).path == f"{RAW}[0]"


def test_items_of_items_are_followed() -> None:
    ir = loop([[1], [2, "a"]], "NUMBER_INTEGER", source=ITEM, declared="LIST")
    inner = task("leaf", loop_over="items") | {"inputs": {"parameters": {"items": ITEM}}}
    body(ir)["x"] = inner
    ir["components"]["leaf"] = leaf(takes={"items": "LIST", "item": "NUMBER_INTEGER"})
    assert refusal(ir).path == f"{RAW}[1][1]"


def test_an_item_that_is_no_list_is_refused_where_one_is_looped_over() -> None:
    ir = loop([[1], 3], "NUMBER_INTEGER", source=ITEM)
    body(ir)["x"] = task("leaf", loop_over="items") | {"inputs": {"parameters": {"items": ITEM}}}
    ir["components"]["leaf"] = leaf(takes={"items": "STRING", "item": "NUMBER_INTEGER"})
    assert refusal(ir).path == f"{RAW}[1]"


def test_a_loop_in_a_branch_is_checked_where_its_own_items_go() -> None:
    ir = loop(["a"], "NUMBER_INTEGER", source=ITEM, declared="NUMBER_INTEGER")
    ir["components"]["branch"] = dag(ir["root"]["dag"]["tasks"])
    ir["root"]["dag"]["tasks"] = {"if": task("branch") | {"triggerPolicy": {"condition": "1 == 2"}}}
    assert refusal(ir).path == "components.branch.dag.tasks.loop.parameterIterator.items.raw[0]"


@given(items=st.lists(ITEMS, min_size=1, max_size=3), kind=st.sampled_from(KINDS))
def test_items_of_a_task_are_refused_exactly_where_a_run_would_fail(items: list[Any], kind: str) -> None:
    agrees_with_a_run(loop(items, kind))


@given(
    items=st.lists(ITEMS, min_size=1, max_size=3),
    kind=st.sampled_from(KINDS),
    declared=st.sampled_from(KINDS),
    source=st.sampled_from([ITEM, FIELD]),
)
def test_items_of_a_body_are_refused_exactly_where_a_run_would_fail(
    items: list[Any], kind: str, declared: str, source: dict[str, Any]
) -> None:
    try:
        ir = loop(items, kind, source=source, declared=declared)
        read_program(ir)
    except InvalidPipeline:
        return
    agrees_with_a_run(ir)


@given(
    items=st.lists(ITEMS, min_size=1, max_size=3),
    wanted=VALUES,
    kind=st.sampled_from(KINDS),
    sign=st.sampled_from(["==", "!=", "<", ">="]),
)
def test_no_run_that_would_succeed_is_refused_for_its_branches(
    items: list[Any], wanted: object, kind: str, sign: str
) -> None:
    """What a branch does is judged only where it is taken for certain."""
    condition = f"inputs.parameter_values['item'] {sign} {json.dumps(wanted)}"
    ir = behind_a_condition(loop(items, kind, source=FIELD), condition, {"item": ITEM})
    agrees_with_a_run(ir)


def agrees_with_a_run(ir: dict[str, Any]) -> None:
    program = read_program(ir)
    assert FakeRun(program=program).run().outcome == ("FAILED" if is_refused(program) else "SUCCEEDED")


def is_refused(program: Program) -> bool:
    try:
        check_foreseeable(program)
    except InvalidPipeline:
        return True
    return False


def test_a_branch_that_depends_on_a_parameter_is_not_judged() -> None:
    ir = loop([{"b": 1}], "NUMBER_INTEGER", source=FIELD, declared="STRUCT")
    ir["root"]["inputDefinitions"] = {"parameters": {"flag": {"parameterType": "BOOLEAN"}}}
    ir["root"]["dag"]["tasks"]["loop"]["inputs"] = {
        "parameters": {"flag": {"componentInputParameter": "flag"}}
    }
    ir["components"]["body"]["inputDefinitions"]["parameters"]["flag"] = {"parameterType": "BOOLEAN"}
    inputs = {"item": ITEM, "flag": {"componentInputParameter": "flag"}}
    ir = behind_a_condition(ir, "inputs.parameter_values['flag'] == true", inputs)
    ir["components"]["branch"]["inputDefinitions"]["parameters"]["flag"] = {"parameterType": "BOOLEAN"}
    assert outcome(ir, flag=False) == "SUCCEEDED"
    assert outcome(ir, flag=True) == "FAILED"


def test_what_comes_behind_a_branch_is_not_judged() -> None:
    ir = loop([{"b": 1}], "NUMBER_INTEGER", source=FIELD, declared="STRUCT")
    branch = task("empty") | {"triggerPolicy": {"condition": "1 == 2"}}
    ir["components"]["empty"] = dag({"y": task("plain")})
    ir["components"]["plain"] = leaf()
    body(ir)["if"] = branch
    body(ir)["x"]["dependentTasks"] = ["if"]
    assert outcome(ir) == "SUCCEEDED"


def test_items_that_look_like_placeholders_are_what_they_are() -> None:
    ir = loop(["{{$.inputs.parameters['item']}}", "{{$.nonsense}}"], "STRING", source=ITEM)
    assert outcome(ir) == "SUCCEEDED"


def test_fractions_can_be_allowed_where_they_run() -> None:
    ir = loop([1, 2.5], "NUMBER_INTEGER", source=ITEM, declared="NUMBER_INTEGER")
    assert refusal(ir).path == f"{RAW}[1]"
    check_foreseeable(read_program(ir), fractions=True)
    assert refusal(loop(["a"], "NUMBER_INTEGER"), fractions=True).path == f"{RAW}[0]"


X = "inputs.parameter_values['x']"


def conditional(condition: str, kind: str = "NUMBER_INTEGER", *, constant: object = None) -> dict[str, Any]:
    """A branch upon a parameter `x` of that kind, or upon a constant."""
    source: dict[str, Any] = {"componentInputParameter": "x"}
    if constant is not None:
        source = {"runtimeValue": {"constant": constant}}
    branch = task("branch") | {
        "inputs": {"parameters": {"x": source}},
        "triggerPolicy": {"condition": condition},
    }
    components = {"branch": dag({"y": task("leaf")}, inputs={"x": kind}), "leaf": leaf()}
    return document(
        {"if": branch}, components, inputDefinitions={"parameters": {"x": {"parameterType": kind}}}
    )


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("1 < 'a'", "cannot compare number < text"),
        ("'a' >= true", "cannot compare text >= boolean"),
        ("1", "number is neither true nor false"),
        ("!'a'", "text is neither true nor false"),
        ("int('a') == 1", "int() of 'a' is no whole number"),
        ("parseJson('{') == 1", "'{' is not JSON"),
        ("parseJson('[1]')[3] == 1", "there is no item 3; there are 1"),
        (f"{X} > 'a'", "cannot compare number > text"),
        (f"{X} && 1 < 'a'", "number is neither true nor false"),
        (f"{X} == 1 && 1 < 'a' && true == false", None),
        (f"{X}['a'] == 1", "number has no items"),
        (f"-string({X}) == 1", "text has no negative"),
        ("1 < 'a' || 2 < 'a'", "cannot compare number < text"),
        (f"{X} > 3 || 1 < 'a'", None),
        (f"{X} == 'a'", None),
        (f"{X} > 3", None),
        (f"double({X}) > 3", None),
        ("'a' == 1", None),
    ],
)
def test_a_condition_that_can_never_be_decided_is_refused(condition: str, said: str | None) -> None:
    ir = conditional(condition)
    if said is None:
        check_foreseeable(read_program(ir))
        return
    refused = refusal(ir)
    assert refused.path == "root.dag.tasks.if.triggerPolicy.condition"
    assert said in refused.rule
    assert FakeRun(program=read_program(ir), parameters={"x": 1}).run().outcome == "FAILED"


def test_a_condition_upon_a_constant_is_judged_by_it() -> None:
    ir = conditional(f"int({X}) > 3", "STRING", constant="many")
    ir["root"].pop("inputDefinitions")
    assert "int() of 'many'" in refusal(ir).rule
    ir["root"]["dag"]["tasks"]["if"]["inputs"]["parameters"]["x"]["runtimeValue"]["constant"] = "4"
    assert outcome(ir) == "SUCCEEDED"


def test_a_condition_upon_its_own_loops_item_is_refused() -> None:
    ir = loop([1], "NUMBER_INTEGER")
    ir["root"]["dag"]["tasks"]["loop"]["triggerPolicy"] = {
        "condition": "inputs.parameter_values['item'] == 1"
    }
    assert "the input 'item' has no value" in refusal(ir).rule
    assert FakeRun(program=read_program(ir)).run().outcome == "FAILED"


TERMS = st.recursive(
    st.sampled_from([X, "1", "2.5", "'a'", "'3'", "true", "false", "null"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["==", "!=", "<", ">=", "&&", "||"]), inner).map(lambda it: f"({it[0]} {it[1]} {it[2]})"),
        st.tuples(st.sampled_from(["int", "double", "string", "parseJson", "!", "-"]), inner).map(lambda it: f"{it[0]}({it[1]})"),
        st.tuples(inner, st.sampled_from(["[0]", "['a']", ".a"])).map(lambda it: f"({it[0]}){it[1]}"),
    ),
    max_leaves=6,
)  # fmt: skip
GIVEN = {
    "STRING": "3",
    "NUMBER_INTEGER": 3,
    "NUMBER_DOUBLE": 0.5,
    "BOOLEAN": True,
    "LIST": [3],
    "STRUCT": {"a": 3},
}


@given(condition=TERMS, kind=st.sampled_from(KINDS))
def test_no_condition_is_refused_that_some_run_can_decide(condition: str, kind: str) -> None:
    program = read_program(conditional(condition, kind))
    if is_refused(program):
        assert FakeRun(program=program, parameters={"x": GIVEN[kind]}).run().outcome == "FAILED"


def test_many_iterations_with_much_in_them_take_no_long_time() -> None:
    item = {"a": 1, "more": ["text" * 100] * 1000}
    inner = {f"x{number}": task("leaf") | {"inputs": {"parameters": {"n": FIELD}}} for number in range(30)}
    ir = loop([item] * 60, "NUMBER_INTEGER", source=FIELD, declared="STRUCT")
    ir["components"]["body"]["dag"]["tasks"] = inner
    program = read_program(ir, max_instances=2000)
    started = time.process_time()
    check_foreseeable(program)
    assert time.process_time() - started < 2
