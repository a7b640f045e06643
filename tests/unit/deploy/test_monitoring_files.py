"""Prometheus takes our configuration, and what rules and dashboard ask for is what the services export."""

import re
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from nodewise.agent.metrics import NodeCollector
from tests.support.dashboards import panels, queries

ROOT = Path(__file__).parents[3]
PROMETHEUS = ROOT / "deploy" / "prometheus"
EXPORTING = (
    "nodewise.api.app", "nodewise.scheduler.service", "nodewise.placer.service", "nodewise.placer.dispatch",
    "nodewise.recorder.metrics", "nodewise.monitor.metrics", "nodewise.agent.metrics", "nodewise.core.liveness",
    "nodewise.core.messaging.loop", "nodewise.core.messaging.wake", "nodewise.core.engine.agents",
)  # fmt: skip


def exported() -> set[str]:
    """The names of all metrics of our processes."""
    for module in EXPORTING:
        import_module(module)
    node = NodeCollector(cores=(0,), memory_mib=1, used_mib=lambda: 0.0, running=lambda: 0)
    of_node = {sample.name for metric in node.collect() for sample in metric.samples}
    # No public way tells the names of metrics whose labels have no values yet.
    return {*REGISTRY._names_to_collectors, *of_node, "up"}


def alerts() -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]:
        yield from group["rules"]


def names_in(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:nodewise|node)_[A-Za-z0-9_]+|\bup\b", expression))


@pytest.fixture
def promtool(prometheus_binary: str) -> str:
    """It comes with Prometheus."""
    return str(Path(prometheus_binary).with_name("promtool"))


def test_promtool_takes_configuration_and_rules(promtool: str) -> None:
    for words in (["check", "config", "--syntax-only", "prometheus.yml"], ["check", "rules", "alerts.yml"]):
        said = subprocess.run([promtool, *words], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stdout + said.stderr


def test_rules_do_what_they_say(promtool: str) -> None:
    said = subprocess.run(
        [promtool, "test", "rules", str(Path(__file__).with_name("alerts_test.yml"))],
        cwd=PROMETHEUS, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stdout + said.stderr


def test_rules_ask_for_metrics_that_are_exported() -> None:
    known = exported()
    for alert in alerts():
        assert names_in(alert["expr"]), alert["alert"]
        assert names_in(alert["expr"]) <= known, alert["alert"]
        assert alert["annotations"]["summary"]


def test_the_dashboard_asks_for_metrics_that_are_exported() -> None:
    known = exported()
    asked = list(queries("expr"))
    assert len(asked) > 15
    for title, expression in asked:
        assert names_in(expression), title
        assert names_in(expression) <= known, title


def test_panels_lie_beside_each_other_and_have_names_of_their_own() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        own = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert not own & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        cells |= own
    ids = [panel["id"] for panel in panels()]
    assert len(set(ids)) == len(ids)
