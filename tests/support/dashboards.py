"""What a Grafana dashboard asks, as its data sources would get it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards" / "nodewise.json"


def panels() -> list[dict[str, Any]]:
    """The panels that ask something."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def queries(field: str) -> Iterator[tuple[str, str]]:
    """Title and query of every target with that field: `expr` (PromQL) or `rawSql`."""
    for panel in panels():
        for target in panel["targets"]:
            if field in target:
                yield panel["title"], target[field]


def as_sql(query: str) -> str:
    """With Grafana's macros written out, for the last hour."""
    between = r"\1 BETWEEN now() - interval '1 hour' AND now()"
    return re.sub(r"\$__timeFilter\(([^)]*)\)", between, query)
