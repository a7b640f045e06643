"""`nodewise quota`: how much of the cluster each team may have, and has."""

from __future__ import annotations

from typing import Any

from nodewise.sdk.cli.options import AsJson, Url, connect
from nodewise.sdk.cli.output import print_json, print_table

_KINDS = ("cores", "gpus", "queued_runs")
_HEADERS = ("team", "cores", "GPUs", "queued runs")


def quota(as_json: AsJson = False, url: Url = None) -> None:
    """Show the quotas of your team, or of all, and what of them is used (NODEWISE_TEAM_QUOTAS sets them)."""
    with connect(url) as client:
        found = client.quotas()
    if as_json:
        print_json(found)
        return
    rows = [(one["team"], *(_used(one, kind) for kind in _KINDS)) for one in found]
    print_table(_HEADERS, rows, none="no team has a quota, or anything in use")


def _used(one: dict[str, Any], kind: str) -> str:
    limit = one[kind]
    return f"{one[f'used_{kind}']:g}" + ("" if limit is None else f" of {limit:g}")
