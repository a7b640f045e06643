"""The edit of the IR: our choice is added to what the user asked for, and what cannot be is refused."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.engine.kubeflow.constraints import allowed, restricted, tolerating
from nodewise.core.engine.kubeflow.errors import PlacementConflict
from nodewise.core.engine.kubeflow.leaves import Leaf, leaves, run_once, unshared
from nodewise.core.engine.kubeflow.nodes import HOSTNAME, KubernetesNode, Taint
from nodewise.core.engine.kubeflow.placement import label_value, place
from nodewise.core.errors import InvalidPipeline, UnknownName
from tests.support.kubeflow import a_node

N1, N2 = a_node("n1", disk="ssd"), a_node("n2", disk="hdd")


def an_ir(*, image: str = "python:3.11", **extra: Any) -> dict[str, Any]:
    """One task, `train`."""
    return {
        "root": {"dag": {"tasks": {"train": {"componentRef": {"name": "comp-train"}}}}},
        "components": {"comp-train": {"executorLabel": "exec-train"}},
        "deploymentSpec": {"executors": {"exec-train": {"container": {"image": image, **extra}}}},
    }


def placed_config(config: dict[str, Any], *nodes: KubernetesNode) -> dict[str, Any]:
    platforms = {"kubernetes": {"deploymentSpec": {"executors": {"exec-train": config}}}}
    placed = place(an_ir(), platforms, nodes={"train": nodes}, run_id="r1")
    found: dict[str, Any] = placed.platforms["kubernetes"]["deploymentSpec"]["executors"]["exec-train"]
    return found


def placed_image(ir: dict[str, Any], *nodes: KubernetesNode) -> str:
    placed = place(ir, {}, nodes={"train": nodes} if nodes else {}, run_id="r1")
    return str(placed.ir["deploymentSpec"]["executors"]["exec-train"]["container"]["image"])


def test_one_node_is_named_by_the_value_of_its_hostname_label() -> None:
    assert placed_config({}, N1)["nodeSelector"] == {"labels": {HOSTNAME: "n1.local"}}


def test_the_users_labels_stay() -> None:
    config = placed_config({"nodeSelector": {"labels": {"disk": "ssd"}}}, N1)
    assert config["nodeSelector"]["labels"] == {"disk": "ssd", HOSTNAME: "n1.local"}


@pytest.mark.parametrize(
    "config",
    [
        {"nodeSelector": {"labels": {"disk": "ssd"}}},
        {"nodeSelector": {"labels": {HOSTNAME: "n1.local"}}},
        {"nodeAffinity": [{"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}]},
        {"nodeAffinity": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}]},
        {"nodeAffinity": [{"matchExpressions": [{"key": "disk", "operator": "NotIn", "values": ["hdd"]}]}]},
    ],
)
def test_a_node_that_the_user_rules_out_is_a_conflict_and_leaves_the_others(config: dict[str, Any]) -> None:
    with pytest.raises(PlacementConflict, match="does not allow n2"):
        placed_config(config, N2)
    assert placed_config(config, N1, N2)["nodeSelector"]["labels"][HOSTNAME] == "n1.local"


def test_candidates_become_an_affinity() -> None:
    config = placed_config({}, N2, N1)
    hosts = {"key": HOSTNAME, "operator": "In", "values": ["n1.local", "n2.local"]}
    assert config["nodeAffinity"] == [{"matchExpressions": [hosts]}]
    assert "nodeSelector" not in config


def test_candidates_are_added_to_each_alternative_of_the_user_and_to_no_wish() -> None:
    disks = [
        {"matchExpressions": [{"key": "disk", "operator": "In", "values": [kind]}]} for kind in ("ssd", "hdd")
    ]
    wish = {"matchExpressions": [{"key": "zone", "operator": "Exists"}], "weight": 5}
    terms = placed_config({"nodeAffinity": [disks[0], wish, disks[1]]}, N1, N2)["nodeAffinity"]
    assert [len(term["matchExpressions"]) for term in terms] == [2, 2, 1]
    assert terms[2] == wish
    assert all(term["matchExpressions"][1]["key"] == HOSTNAME for term in terms[:2])


def test_a_selector_from_a_parameter_is_kept_and_the_node_added_by_affinity() -> None:
    """KFP lets such a selector win over plain labels, so labels would be lost."""
    selector = {"nodeSelectorJson": {"componentInputParameter": "where"}}
    config = placed_config({"nodeSelector": selector}, N1)
    assert config["nodeSelector"] == selector
    assert config["nodeAffinity"][0]["matchExpressions"][0]["values"] == ["n1.local"]


def test_an_affinity_from_a_parameter_is_kept_and_the_node_added_by_label() -> None:
    affinity = [{"nodeAffinityJson": {"componentInputParameter": "where"}}]
    config = placed_config({"nodeAffinity": affinity}, N1)
    assert config["nodeAffinity"] == affinity
    assert config["nodeSelector"]["labels"][HOSTNAME] == "n1.local"
    with pytest.raises(PlacementConflict, match="comes from a parameter"):
        placed_config({"nodeAffinity": affinity}, N1, N2)


def test_the_taints_of_the_chosen_node_are_tolerated_unless_they_are_already_or_mean_that_it_is_unwell() -> (
    None
):
    taints = (
        Taint(key="team", value="vision", effect="NoSchedule"),
        Taint(key="spot", effect="NoExecute"),
        Taint(key="slow", effect="PreferNoSchedule"),
        Taint(key="node.kubernetes.io/not-ready", effect="NoSchedule"),
        Taint(key="known", value="1", effect="NoSchedule"),
    )
    own = {"key": "known", "operator": "Exists"}
    config = placed_config({"tolerations": [own]}, a_node("n1", taints=taints))
    assert config["tolerations"] == [
        own,
        {"key": "spot", "operator": "Exists", "effect": "NoExecute"},
        {"key": "team", "operator": "Equal", "value": "vision", "effect": "NoSchedule"},
    ]


def test_other_settings_and_labels_of_the_pod_stay() -> None:
    config = placed_config({"imagePullPolicy": "Always", "podMetadata": {"labels": {"a": "b"}}}, N1)
    assert config["imagePullPolicy"] == "Always"
    assert config["podMetadata"] == {
        "labels": {"a": "b", "nodewise/run": "r1", "nodewise/task": "train"},
        "annotations": {"nodewise/task-path": "train"},
    }


def test_the_arguments_stay_as_they_are() -> None:
    ir, platforms = an_ir(image="x:{arch}"), {"kubernetes": {"deploymentSpec": {"executors": {}}}}
    before = copy.deepcopy((ir, platforms))
    place(ir, platforms, nodes={"train": [N1]}, run_id="r1", caching=False)
    assert (ir, platforms) == before


def test_an_image_is_resolved_for_its_node() -> None:
    gpu = {"resources": {"accelerator": {"resourceType": "nvidia.com/gpu", "resourceCount": "1"}}}
    arm, fast = a_node("arm", arch="arm64"), a_node("fast", gpus=2)
    assert placed_image(an_ir(image="x:{arch}"), arm) == "x:arm64"
    assert placed_image(an_ir(image="x:{platform}"), arm) == "x:arm64"
    assert placed_image(an_ir(image="x:{platform}", **gpu), fast) == "x:gpu"
    assert placed_image(an_ir(image="x:{arch}", **gpu), fast) == "x:amd64"
    assert placed_image(an_ir(image="x:{platform}"), fast) == "x:amd64"
    assert placed_image(an_ir(image="x:1")) == "x:1"


def test_an_image_that_cannot_be_resolved_is_refused() -> None:
    with pytest.raises(PlacementConflict, match="another image on each"):
        placed_image(an_ir(image="x:{arch}"), N1, a_node("arm", arch="arm64"))
    with pytest.raises(PlacementConflict, match="only for a task that is placed"):
        placed_image(an_ir(image="x:{arch}"))


def test_caching_is_switched_off_for_every_task_when_asked() -> None:
    placed = place(an_ir(), {}, nodes={}, run_id="r1", caching=False)
    assert placed.ir["root"]["dag"]["tasks"]["train"]["cachingOptions"] == {"enableCache": False}


def test_a_task_that_is_not_there_cannot_be_placed() -> None:
    with pytest.raises(UnknownName, match="known: train"):
        place(an_ir(), {}, nodes={"tran": [N1]}, run_id="r1")


def shared_ir() -> dict[str, Any]:
    """Two nested pipelines of one component, whose two tasks share a component as well."""
    use = {"componentRef": {"name": "comp-leaf"}}
    inner = {"componentRef": {"name": "comp-inner"}}
    return {
        "root": {"dag": {"tasks": {"a": inner, "b": {**inner, "parameterIterator": {}}}}},
        "components": {
            "comp-inner": {"dag": {"tasks": {"x": dict(use), "y": dict(use)}}},
            "comp-leaf": {"executorLabel": "exec-leaf"},
        },
        "deploymentSpec": {"executors": {"exec-leaf": {"container": {"image": "i"}}}},
    }


def test_tasks_that_share_a_component_are_told_apart_with_all_that_is_said_of_them() -> None:
    config = {"imagePullPolicy": "Always"}
    hints = {"kind": "training"}
    platforms = {
        "kubernetes": {"deploymentSpec": {"executors": {"exec-leaf": config}}},
        "nodewise": {"deploymentSpec": {"executors": {"exec-leaf": hints}}},
    }
    ir, copied = unshared(shared_ir(), platforms)
    found = leaves(ir)
    assert sorted(found) == ["a.x", "a.y", "b.x", "b.y"]
    labels = {leaf.label for leaf in found.values()}
    assert len(labels) == 4
    assert labels == set(ir["deploymentSpec"]["executors"])
    assert copied["kubernetes"]["deploymentSpec"]["executors"] == dict.fromkeys(labels, config)
    assert copied["nodewise"]["deploymentSpec"]["executors"] == dict.fromkeys(labels, hints)


def test_two_components_of_one_executor_are_told_apart() -> None:
    ir = shared_ir()
    ir["components"]["comp-other"] = {"executorLabel": "exec-leaf"}
    ir["components"]["comp-inner"]["dag"]["tasks"]["y"] = {"componentRef": {"name": "comp-other"}}
    assert len({leaf.label for leaf in leaves(unshared(ir, {})[0]).values()}) == 4


def test_what_shares_nothing_stays_as_it_is() -> None:
    assert unshared(an_ir(), {})[0] == an_ir()


def test_leaves_in_loops_do_not_run_once() -> None:
    assert run_once(shared_ir()) == {"a.x", "a.y"}


def test_loops_over_what_only_the_run_will_show_are_open() -> None:
    def looping(items: dict[str, Any]) -> dict[str, Any]:
        loop = {"componentRef": {"name": "one"}, "parameterIterator": {"items": items}}
        return {
            "root": {"dag": {"tasks": {"loop": loop}}},
            "components": {
                "one": {"dag": {"tasks": {"a": {"componentRef": {"name": "leaf"}}}}},
                "leaf": {"executorLabel": "exec"},
            },
        }

    assert leaves(looping({"raw": "[1, 2]"}))["loop.a"] == Leaf(label="exec", in_loop=True)
    opened = leaves(looping({"inputParameter": "n"}))["loop.a"]
    assert opened == Leaf(label="exec", in_loop=True, open_loop=True)


def test_components_that_contain_themselves_or_multiply_are_refused() -> None:
    ir = shared_ir()
    ir["components"]["comp-inner"]["dag"]["tasks"]["x"] = {"componentRef": {"name": "comp-inner"}}
    with pytest.raises(InvalidPipeline, match="contains itself"):
        unshared(ir, {})
    doubling: dict[str, Any] = {
        "root": {"dag": {"tasks": {"t": {"componentRef": {"name": "c0"}}}}},
        "components": {},
    }
    for depth in range(25):
        twice = {key: {"componentRef": {"name": f"c{depth + 1}"}} for key in ("l", "r")}
        doubling["components"][f"c{depth}"] = {"dag": {"tasks": twice}}
    doubling["components"]["c25"] = {"executorLabel": "e"}
    with pytest.raises(InvalidPipeline, match="too many"):
        unshared(doubling, {})


def test_a_component_that_is_missing_is_named() -> None:
    ir = an_ir()
    del ir["components"]["comp-train"]
    with pytest.raises(InvalidPipeline, match="no component named 'comp-train'"):
        unshared(ir, {})


@given(st.text(max_size=200))
def test_any_text_becomes_a_label_that_kubernetes_takes(text: str) -> None:
    value = label_value(text)
    assert 0 < len(value) <= 63
    assert value[0].isalnum()
    assert value[-1].isalnum()
    assert all(letter.isascii() and (letter.isalnum() or letter in "-_.") for letter in value)


def test_labels_of_different_paths_differ() -> None:
    assert label_value("exit-handler-1.train") == "exit-handler-1.train"
    assert label_value("a" * 80) != label_value("a" * 81)
    assert label_value("loop[0]") != label_value("loop(0)")


@given(
    st.sets(st.sampled_from(["n1", "n2", "n3"]), min_size=1),
    st.sets(st.sampled_from(["n1", "n2", "n3"]), min_size=1),
)
def test_what_may_run_a_task_is_what_both_the_user_and_we_allow(users: set[str], ours: set[str]) -> None:
    """The meaning of the edited config, judged by an independent reading of it."""
    nodes = {name: a_node(name) for name in ("n1", "n2", "n3")}
    expression = {"key": HOSTNAME, "operator": "In", "values": sorted(f"{name}.local" for name in users)}
    config: dict[str, Any] = {"nodeAffinity": [{"matchExpressions": [expression]}]}
    chosen = [nodes[name] for name in sorted(ours)]
    if not users & ours:
        with pytest.raises(PlacementConflict):
            allowed(config, chosen, path="p")
        return
    edited = tolerating(restricted(config, allowed(config, chosen, path="p"), path="p"), chosen)
    wanted = edited.get("nodeSelector", {}).get("labels", {}).get(HOSTNAME)
    takes = {
        name
        for name in nodes
        if wanted in (None, f"{name}.local")
        and any(
            all(f"{name}.local" in one["values"] for one in term["matchExpressions"])
            for term in edited["nodeAffinity"]
        )
    }
    assert takes == users & ours
