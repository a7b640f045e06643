"""`nodewise audit`."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from typer.testing import Result

from tests.support.fake_api import FakeApi

Cli = Callable[..., Result]
FINDING = {
    "check": "counted_once", "text": "2 of its attempts succeeded", "run_id": "0b8d5a0e", "path": "train",
    "attempt": 2, "node": "n3", "since": "2026-11-20T12:00:00Z", "until": None,
}  # fmt: skip


def page(*findings: dict[str, Any], cursor: str | None = None, nodes: int = 4) -> dict[str, Any]:
    return {
        "since": "2026-11-20T00:00:00Z", "runs": 2, "tasks": 6, "attempts": 7, "events": 40, "bookings": 7 if nodes else 0,
        "nodes": nodes, "findings_total": len(findings), "findings": list(findings), "next_cursor": cursor,
    }  # fmt: skip


def test_a_record_in_order_ends_with_0_and_says_what_was_looked_at(cli: Cli, api: FakeApi) -> None:
    api.answers["audit"] = page()
    result = cli("audit")
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        "checked since 2026-11-20T00:00:00Z: 2 runs, 6 tasks, 7 attempts, 40 events, 7 bookings, 4 nodes\n"
        "nothing is wrong\n"
    )


def test_findings_are_listed_and_end_with_1(cli: Cli, api: FakeApi) -> None:
    api.answers["audit"] = page(FINDING)
    result = cli("audit")
    assert result.exit_code == 1
    for word in ("1 findings", "counted_once", "0b8d5a0e", "train", "n3", "2 of its attempts succeeded"):
        assert word in result.stdout


def test_json_is_for_programs_and_ends_with_1_as_well(cli: Cli, api: FakeApi) -> None:
    api.answers["audit"] = page(FINDING)
    result = cli("audit", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["findings"] == [FINDING]


def test_since_may_be_a_time_or_a_duration(cli: Cli, api: FakeApi) -> None:
    api.answers["audit"] = page()
    assert cli("audit", "--since", "2026-11-20").exit_code == 0
    assert api.requests[-1].url.params["since"] == "2026-11-20T00:00:00+00:00"
    assert cli("audit", "--since", "2h").exit_code == 0
    asked = datetime.fromisoformat(api.requests[-1].url.params["since"])
    assert 7100 < (datetime.now(UTC) - asked).total_seconds() < 7300
    refused = cli("audit", "--since", "lately")
    assert refused.exit_code == 1
    assert "--since 'lately' is neither a duration such as 2h nor a time" in refused.output
