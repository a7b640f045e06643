"""Turns an explained task into text: pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nodewise.sdk.progress import plain_table, seconds_text

_WHOLE_FROM = 1000
_WAITING = frozenset({"WAITING", "READY", "ADMITTED", "SKIPPED", "CANCELED"})


def explain_task(task: Mapping[str, Any]) -> str:
    """Its state, why it waits, and each attempt with all its candidates."""
    lines = [f"{task['path']}: {task['state']}"]
    if task["state"] in _WAITING and task.get("reason"):
        lines.append(f"  why: {task['reason']}")
    if task.get("effort_flops"):
        lines.append(f"  estimated work: {_flops(task['effort_flops'])}")
    for attempt in task.get("attempts") or ():
        lines += _attempt(attempt)
    return "\n".join(lines)


def _attempt(attempt: Mapping[str, Any]) -> list[str]:
    chosen_by = f"policy {known(attempt.get('policy'))}, strategy {known(attempt.get('strategy'))}"
    lines = [f"  attempt {attempt['attempt']} on {attempt['node']}: {attempt['state']} ({chosen_by})"]
    if attempt.get("reason"):
        lines.append(f"    why this node: {attempt['reason']}")
    if attempt.get("predicted_seconds") is not None:
        lines.append(f"    predicted: {seconds_text(attempt['predicted_seconds'])} s")
    if attempt.get("end_code") and attempt["state"] != "SUCCEEDED":
        lines.append(f"    ended: {attempt['end_code']}: {attempt.get('end_message') or '-'}")
    return lines + [f"    {line}" for line in _candidates(attempt.get("candidates") or (), attempt["node"])]


def _candidates(candidates: Sequence[Mapping[str, Any]], chosen: str) -> list[str]:
    """A table of what each node scored; a column per score, the excluded ones with what they lacked."""
    if not candidates:
        return []
    names = list(dict.fromkeys(name for candidate in candidates for name in candidate.get("scores") or {}))
    rows = [_candidate(candidate, names, chosen=chosen) for candidate in candidates]
    return plain_table(["", "node", *(name.replace("_", " ") for name in names), "out because"], rows).split(
        "\n"
    )


def _candidate(candidate: Mapping[str, Any], names: Sequence[str], *, chosen: str) -> list[str]:
    scores = candidate.get("scores") or {}
    exclusion = candidate.get("exclusion") or {}
    mark = "*" if candidate["node"] == chosen and not exclusion else ""
    return [mark, candidate["node"], *(known(scores.get(name)) for name in names), exclusion.get("text", "")]


def known(value: object) -> str:
    """`-` for what is unknown; figures with three digits that count."""
    if value is None:
        return "-"
    return _figure(value) if isinstance(value, float) else str(value)


def _figure(value: float) -> str:
    """`21,690`, `12.35`, `0.000123`: never with an exponent."""
    if not math.isfinite(value) or abs(value) >= _WHOLE_FROM:
        return f"{value:,.0f}"
    decimals = 3 - math.floor(math.log10(abs(value))) if value else 0
    text = f"{value:.{min(max(decimals, 0), 9)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _flops(amount: float) -> str:
    """`1.5 Gflop`."""
    value, unit = float(amount), ""
    for larger in "kMGTPE":
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.3g} {unit}flop"
