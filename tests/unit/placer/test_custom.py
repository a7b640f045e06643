import pytest

from nodewise.core.errors import InvalidOptions
from nodewise.core.model.decision import Decision, Deferral, Placement, ReasonCode
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Cluster
from nodewise.core.model.task import ModelFacts, TaskKind, WaitingTask
from nodewise.placer.strategies.custom import Custom
from nodewise.placer.strategies.rules import parse_rules, shipped_rules
from tests.support.builders import a_cluster, a_node, a_task, placement_context

LOW_TO_HIGH = a_cluster(
    a_node("n1", cores=1, worker_type="low-cpu"),
    a_node("n2", cores=2, worker_type="med-cpu"),
    a_node("n3", cores=4, worker_type="high-cpu"),
)


def training(model: str, path: str = "train") -> WaitingTask:
    return a_task(path, kind=TaskKind.TRAINING, model=ModelFacts(type=model), cores=0.5)


def place(tasks: list[WaitingTask], cluster: Cluster, **options: object) -> list[Decision]:
    return list(Custom().place(tasks, cluster, placement_context(options=options)))


def node_of(decision: Decision) -> str:
    assert isinstance(decision, Placement)
    return decision.node


@pytest.mark.parametrize(
    ("model", "expected"),
    [("random_forest", "n3"), ("svm", "n3"), ("linear_regression", "n2"), ("decision_tree", "n2")],
)
def test_shipped_rules_send_heavy_models_to_large_nodes_and_light_ones_elsewhere(
    model: str, expected: str
) -> None:
    assert node_of(place([training(model)], LOW_TO_HIGH)[0]) == expected


def test_shipped_rules_prefer_an_accelerator_until_it_is_loaded() -> None:
    def cluster(booked: float) -> Cluster:
        return a_cluster(a_node("n1", cores=8), a_node("n2", cores=4, accelerator="gpu", booked=booked))

    assert node_of(place([training("cnn")], cluster(3))[0]) == "n2"
    assert node_of(place([training("cnn")], cluster(3.5))[0]) == "n1"


def test_shipped_rules_keep_evaluation_with_its_pipeline() -> None:
    evaluation = a_task(kind=TaskKind.EVALUATION, cores=0.5, sibling_nodes=(NodeName("n1"), NodeName("n2")))
    [decision] = place([evaluation], LOW_TO_HIGH)
    assert node_of(decision) == "n1"
    assert "its pipeline ran here" in decision.reason.text


def test_together_holds_within_one_batch() -> None:
    rules = [{"name": "together", "together": True, "sort": ["load"]}]
    tasks = [a_task("a", run=1), a_task("b", run=2), a_task("c", run=1)]
    cluster = a_cluster(a_node("n1", cores=4), a_node("n2", cores=4))
    assert [node_of(decision) for decision in place(tasks, cluster, rules=rules)] == ["n1", "n2", "n1"]


def test_the_first_rule_that_applies_decides_and_its_name_is_told() -> None:
    rules = [
        {"name": "svm only", "models": ["svm"], "sort": ["cores"]},
        {"name": "rest", "sort": ["memory"]},
    ]
    cluster = a_cluster(a_node("n1", cores=4), a_node("n2", memory=4000))
    decisions = place([training("svm"), training("nn", "t2")], cluster, rules=rules)
    assert [node_of(decision) for decision in decisions] == ["n1", "n2"]
    assert "svm only" in decisions[0].reason.text
    assert "rest" in decisions[1].reason.text


def test_where_no_rule_applies_the_default_order_does() -> None:
    decisions = place([a_task(cores=0.5)], LOW_TO_HIGH, rules=[])
    assert node_of(decisions[0]) == "n3"


def test_it_falls_back_to_the_strongest_or_waits_as_the_rules_say() -> None:
    rules = [{"name": "arm", "architectures": ["arm64"]}]
    assert node_of(place([a_task()], LOW_TO_HIGH, rules=rules)[0]) == "n3"
    [waits] = place([a_task()], LOW_TO_HIGH, rules=rules, fallback="wait")
    assert isinstance(waits, Deferral)
    assert waits.reason.code is ReasonCode.STRATEGY_RULE
    assert "'arm'" in waits.reason.text


def test_shipped_rules_are_what_no_options_mean() -> None:
    assert parse_rules({}) == shipped_rules()


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"rules": [{"name": "x", "sort": ["speed"]}]}, "rules.0.sort"),
        ({"rules": [{"sort": []}]}, "rules.0.name"),
        ({"rules": [{"name": "x", "kinds": ["cooking"]}]}, "rules.0.kinds.0"),
        ({"rules": [{"name": "x", "acelerator": "gpu"}]}, "rules.0.acelerator"),
        ({"rules": [], "fallback": "panic"}, "fallback"),
        ({"rules": [{"name": "x", "accelerator_until_load": 2}]}, "rules.0.accelerator_until_load"),
    ],
)
def test_options_that_break_a_rule_are_refused_with_their_place(
    options: dict[str, object], path: str
) -> None:
    with pytest.raises(InvalidOptions) as refused:
        parse_rules(options)
    assert refused.value.path == path
