"""What a user asks of Kubernetes holds in our queue, too: nodes are chosen among those that the pipeline allows."""

from dataclasses import replace
from typing import Any

import pytest

from nodewise.core.errors import InvalidPipeline
from tests.support.kfp_server.cluster import FakeNode
from tests.support.kubeflow_services import Services

Document = tuple[dict[str, Any], dict[str, Any]]
TAINT = {"key": "team", "value": "vision", "effect": "NoSchedule"}


@pytest.fixture(autouse=True)
def three_nodes(services: Services) -> None:
    """n1 in zone a; n2 in zone b; n3, large, in zone b, kept for those who tolerate it."""
    services.server.cluster.nodes = {
        "n1": FakeNode(name="n1", labels={"zone": "a"}),
        "n2": FakeNode(name="n2", labels={"zone": "b"}, hostname="two.example"),
        "n3": FakeNode(name="n3", labels={"zone": "b"}, millicores=64_000, taints=(TAINT,)),
    }


def asking(document: Document, **configs: dict[str, Any]) -> Document:
    executors = {f"exec-{name.replace('_', '-')}": config for name, config in configs.items()}
    return document[0], {"kubernetes": {"deploymentSpec": {"executors": executors}}}


def test_a_selector_is_kept_by_our_choice(services: Services, chain_ir: Document) -> None:
    zone = {"nodeSelector": {"labels": {"zone": "b"}}}
    run_id = services.submit(
        asking(chain_ir, double=zone, double_2={"nodeSelector": {"labels": {"zone": "a"}}})
    )
    services.run_to_the_end()
    assert services.run(run_id)[0] == "SUCCEEDED"
    assert services.nodes(run_id) == {"double": "n2", "double-2": "n1"}


def test_a_hostname_that_is_no_nodes_name_is_understood(services: Services, chain_ir: Document) -> None:
    here = {"nodeSelector": {"labels": {"kubernetes.io/hostname": "two.example"}}}
    run_id = services.submit(asking(chain_ir, double=here))
    services.run_to_the_end()
    assert services.run(run_id)[0] == "SUCCEEDED"
    assert services.nodes(run_id)["double"] == "n2"


def test_an_affinity_is_kept_by_our_choice(services: Services, chain_ir: Document) -> None:
    term = {"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a", "c"]}]}
    wish = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}], "weight": 5}
    run_id = services.submit(asking(chain_ir, double={"nodeAffinity": [term, wish]}))
    services.run_to_the_end()
    assert services.run(run_id)[0] == "SUCCEEDED"
    assert services.nodes(run_id)["double"] == "n2"


def test_a_tainted_node_is_for_those_who_tolerate_it_or_name_it(
    services: Services, chain_ir: Document
) -> None:
    tolerant = {
        "tolerations": [{"key": "team", "operator": "Equal", "value": "vision", "effect": "NoSchedule"}]
    }
    by_name = {"nodeSelector": {"labels": {"kubernetes.io/hostname": "n3"}}}
    # The strategy `fastest` would take the large node for all, if it could.
    plain = services.submit(chain_ir)
    one = services.submit(asking(chain_ir, double={**tolerant, "nodeSelector": {"labels": {"zone": "b"}}}))
    other = services.submit(asking(chain_ir, double=by_name))
    for name in ("n1", "n2"):
        services.server.cluster.nodes[name] = replace(services.server.cluster.nodes[name], millicores=2000)
    services.run_to_the_end()
    assert "n3" not in services.nodes(plain).values()
    assert services.nodes(other)["double"] == "n3"
    assert {services.run(run_id)[0] for run_id in (plain, one, other)} == {"SUCCEEDED"}


def test_what_no_node_allows_waits_and_says_what_keeps_it(services: Services, chain_ir: Document) -> None:
    nowhere = {"nodeAffinity": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["x"]}]}]}
    run_id = services.submit(asking(chain_ir, double=nowhere))
    services.hand_over()
    code, text = services.reasons(run_id)["double"]
    assert code == "unsatisfiable"
    assert "n1: is not zone In (x)" in text
    assert "n3: has the taint" in text or "n3: is not zone In (x)" in text


def test_a_later_task_that_no_node_allows_holds_up_the_run_before_anything_ran(
    services: Services, chain_ir: Document
) -> None:
    nowhere = {"nodeSelector": {"labels": {"zone": "x"}}}
    run_id = services.submit(asking(chain_ir, double_2=nowhere))
    services.hand_over()
    assert services.tasks(run_id) == {"double": "READY", "double-2": "WAITING"}
    code, text = services.reasons(run_id)["double"]
    assert code == "unsatisfiable"
    assert text.startswith("the run is bound as a whole, and its task 'double-2' finds no node: ")
    assert services.server.requests == [("GET", "/api/v1/nodes")]
    services.server.cluster.nodes["n4"] = FakeNode(name="n4", labels={"zone": "x"})
    services.server.turn(20)
    services.run_to_the_end()
    assert services.run(run_id)[0] == "SUCCEEDED"
    assert services.nodes(run_id)["double-2"] == "n4"


def test_hints_that_contradict_the_selector_are_refused_with_their_place(
    services: Services, chain_ir: Document
) -> None:
    ir, platforms = asking(chain_ir, double={"nodeSelector": {"labels": {"zone": "a"}}})
    hints = {"deploymentSpec": {"executors": {"exec-double": {"requirements": {"labels": {"zone": "b"}}}}}}
    with pytest.raises(InvalidPipeline, match=r"nodeSelector\.labels\.zone: is 'a', but .* requires 'b'"):
        services.submit((ir, {**platforms, "nodewise": hints}))


def test_a_choice_that_cannot_be_written_down_fails_the_run_with_the_place(
    services: Services, chain_ir: Document
) -> None:
    config = {
        "nodeSelector": {"nodeSelectorJson": {"componentInputParameter": "n"}},
        "nodeAffinity": [{"nodeAffinityJson": {"componentInputParameter": "n"}}],
    }
    run_id = services.submit(asking(chain_ir, double=config))
    services.hand_over()
    services.follower.look()
    state, error = services.run(run_id)
    assert state == "FAILED"
    assert (
        "platforms.kubernetes.deploymentSpec.executors.exec-double: its node affinity comes from a parameter"
        in error
    )
    assert {code for code, _ in services.reasons(run_id).values()} == {"placement_conflict"}
    assert services.server.workflows(run_id) == []


def test_volumes_and_secrets_are_left_to_kfp(services: Services, chain_ir: Document) -> None:
    config = {"secretAsEnv": [{"secretName": "s", "keyToEnv": [{"secretKey": "k", "envVar": "E"}]}]}
    run_id = services.submit(asking(chain_ir, double=config))
    services.run_to_the_end()
    assert services.run(run_id)[0] == "SUCCEEDED"


def test_plans_choose_the_nodes_of_the_whole_run(services: Services, chain_ir: Document) -> None:
    run_id = services.submit(chain_ir, strategy="heft", policy="balanced")
    services.watch.look()
    services.scheduler.look()
    rows = services.expected(run_id)
    services.run_to_the_end()
    assert services.run(run_id)[0] == "SUCCEEDED"
    assert services.nodes(run_id) == rows
