"""Kubernetes' ways of choosing nodes, as hard rules of ours."""

import pytest

from nodewise.core.codec import decode, encode
from nodewise.core.feasibility import lasting_exclusion
from nodewise.core.model.decision import PERMANENT_EXCLUSIONS, ReasonCode
from nodewise.core.model.ids import NodeName
from nodewise.core.model.selection import CORDON, HOSTNAME, NodeExpression, NodeTerm, Taint, Toleration
from nodewise.core.model.task import Requirements, TaskSpec
from nodewise.core.refusals import needs
from tests.support.builders import a_node, a_spec

GPU = Taint(key="gpu", value="yes", effect="NoSchedule")


def excluded(wanted: Requirements, **node: object) -> ReasonCode | None:
    found = lasting_exclusion(a_spec(requirements=wanted), a_node("n1", **node).node)
    assert found is None or found.code in PERMANENT_EXCLUSIONS
    return None if found is None else found.code


@pytest.mark.parametrize(
    ("operator", "values", "holds"),
    [
        ("In", ("a", "b"), True),
        ("In", ("b",), False),
        ("NotIn", ("b",), True),
        ("NotIn", ("a",), False),
        ("Exists", (), True),
        ("DoesNotExist", (), False),
        ("Gt", ("3",), False),
        ("Sometimes", (), False),
    ],
)
def test_an_expression_holds_as_in_kubernetes(operator: str, values: tuple[str, ...], *, holds: bool) -> None:
    term = NodeTerm(labels=(NodeExpression(key="zone", operator=operator, values=values),))
    code = None if holds else ReasonCode.AFFINITY
    assert excluded(Requirements(affinity=(term,)), labels={"zone": "a"}) == code


@pytest.mark.parametrize(("operator", "holds"), [("Gt", True), ("Lt", False)])
def test_numbers_are_compared_as_numbers(operator: str, *, holds: bool) -> None:
    one = NodeExpression(key="cores", operator=operator, values=("9",))
    assert one.holds({"cores": "16"}) is holds
    assert not one.holds({"cores": "many"})
    assert not one.holds({})


def test_terms_are_alternatives_and_a_node_may_be_named_by_field() -> None:
    named = NodeTerm(fields=(NodeExpression(key="metadata.name", operator="In", values=("n1",)),))
    other = NodeTerm(labels=(NodeExpression(key="zone", operator="Exists"),))
    assert excluded(Requirements(affinity=(other, named))) is None
    assert excluded(Requirements(affinity=(other,))) is ReasonCode.AFFINITY


@pytest.mark.parametrize(
    "toleration",
    [
        Toleration(key="gpu", value="yes", effect="NoSchedule"),
        Toleration(key="gpu", value="yes"),
        Toleration(key="gpu", exists=True),
        Toleration(exists=True),
    ],
)
def test_a_toleration_opens_a_tainted_node(toleration: Toleration) -> None:
    assert excluded(Requirements(), taints=(GPU,)) is ReasonCode.TAINT
    assert excluded(Requirements(tolerations=(toleration,)), taints=(GPU,)) is None


@pytest.mark.parametrize(
    "toleration",
    [
        Toleration(key="gpu", value="no"),
        Toleration(key="cpu", exists=True),
        Toleration(key="gpu", exists=True, effect="NoExecute"),
        Toleration(),
    ],
)
def test_another_toleration_does_not(toleration: Toleration) -> None:
    assert excluded(Requirements(tolerations=(toleration,)), taints=(GPU,)) is ReasonCode.TAINT


def test_a_taint_that_is_only_a_wish_keeps_nobody_off() -> None:
    assert excluded(Requirements(), taints=(Taint(key="old", effect="PreferNoSchedule"),)) is None


def test_whoever_names_the_node_wants_it_taint_or_not() -> None:
    assert excluded(Requirements(nodes=(NodeName("n1"),)), taints=(GPU,)) is None
    here = Requirements(labels={HOSTNAME: "n1.local"})
    assert excluded(here, taints=(GPU,), labels={HOSTNAME: "n1.local"}) is None


@pytest.mark.parametrize(
    "wanted",
    [
        Requirements(),
        Requirements(nodes=(NodeName("n1"),)),
        Requirements(tolerations=(Toleration(exists=True),)),
    ],
)
def test_a_cordon_keeps_everybody_off(wanted: Requirements) -> None:
    assert excluded(wanted, taints=(CORDON,)) is ReasonCode.CORDONED
    assert excluded(wanted, taints=()) is None


def test_what_is_asked_for_is_told_and_survives_the_record() -> None:
    term = NodeTerm(labels=(NodeExpression(key="zone", operator="In", values=("a", "b")),))
    spec = a_spec(requirements=Requirements(affinity=(term,), tolerations=(Toleration(exists=True),)))
    assert needs(spec).endswith("zone In (a, b)")
    assert decode(TaskSpec, encode(spec)) == spec
