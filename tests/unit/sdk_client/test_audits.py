"""An audit's pages become one answer."""

from typing import Any

from nodewise.sdk.client.audits import whole_audit


def page(runs: int, nodes: int, findings: list[str], cursor: str | None) -> dict[str, Any]:
    return {
        "since": "2026-11-20T00:00:00Z", "runs": runs, "tasks": runs, "attempts": runs, "events": runs, "bookings": nodes,
        "nodes": nodes, "findings_total": len(findings), "findings": findings, "next_cursor": cursor,
    }  # fmt: skip


def test_pages_are_added_up_and_all_are_of_the_same_period() -> None:
    pages = [page(2, 4, ["a"], "behind-2"), page(2, 0, [], "behind-4"), page(1, 0, ["b", "c"], None)]
    asked: list[dict[str, Any]] = []

    def ask(_method: str, _path: str, *, params: dict[str, Any]) -> dict[str, Any]:
        asked.append(params)
        return pages[len(asked) - 1]

    whole = whole_audit(ask, since=None)
    assert (whole["runs"], whole["nodes"], whole["findings_total"]) == (5, 4, 3)
    assert whole["findings"] == ["a", "b", "c"]
    assert "next_cursor" not in whole
    since = "2026-11-20T00:00:00Z"
    assert asked == [
        {"since": None},
        {"since": since, "cursor": "behind-2"},
        {"since": since, "cursor": "behind-4"},
    ]
