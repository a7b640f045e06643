"""Turns an explained task into text: pure."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from nodewise.core.model.decision import ReasonCode
from nodewise.core.refusals import kept_out
from nodewise.sdk.progress import plain_table, seconds_text

_WHOLE_FROM = 1000
_WAITING = frozenset({"WAITING", "READY", "ADMITTED", "SKIPPED", "CANCELED"})
_REUSE = "; no earlier result"
_COSTS = ("run_seconds", "run_low", "run_high", "transfer_seconds", "wait_seconds", "finish_seconds")
_HAS_ROOM = "has_room"
_CODES = frozenset(ReasonCode)
_COST_HEADERS = ("run (80 %)", "transfer", "wait", "finish")


def explain_task(task: Mapping[str, Any]) -> str:
    """Its state, why it waits and what would change that, and each attempt with its candidates."""
    lines = [f"{task['path']}: {task['state']}"]
    if task.get("pending"):
        lines += [f"  {line}" for line in _why(task["pending"])]
    elif task.get("reason") and _never_ran_for(task):
        lines.append(f"  why: {task['reason']}")
    if _REUSE in (queued := task.get("queued_reason") or ""):
        lines.append(f"  no earlier result{queued.partition(_REUSE)[2]}")
    if task.get("effort_flops"):
        lines.append(f"  estimated work: {_flops(task['effort_flops'])}")
    if task.get("pending"):
        lines += [f"  {line}" for line in _pending(task, task["pending"])]
    for attempt in task.get("attempts") or ():
        lines += _attempt(attempt)
    return "\n".join(lines)


def explain_part(part: Mapping[str, Any]) -> str:
    """A part of the pipeline that has no tasks, and why."""
    how = "not begun" if part["state"] == "WAITING" else "left out"
    return f"{part['path']}: {part['state']}, {how} as a whole\n  why: {part['text']}"


def _never_ran_for(task: Mapping[str, Any]) -> bool:
    """Whether its reason is not that of an attempt: those tell their own."""
    return task["state"] in _WAITING or (
        task["state"] in {"FAILED", "SUCCEEDED"} and not task.get("attempts")
    )


def _why(pending: Mapping[str, Any]) -> Iterator[str]:
    why = pending["why"]
    if why["as_of"]:
        yield f"why: {why['text']}"
        return
    if why["text"]:
        yield f"why, at the latest look of who decides: {why['text']}"
    if why["overtaken"]:
        yield f"since then: {why['overtaken']}"


def _pending(task: Mapping[str, Any], pending: Mapping[str, Any]) -> Iterator[str]:
    if task.get("expected_node"):
        start, end = _clock(task["expected_start_at"]), _clock(task["expected_end_at"])
        yield f"expected, by the latest plan: on {task['expected_node']} from about {start} to {end} UTC"
    for one in pending["waits_for"]:
        where = f" on {one['node']}" if one["node"] else ""
        end = f", until about {_clock(one['expected_end_at'])} UTC" if one["expected_end_at"] else ""
        yield f"waits for: {one['path']} ({one['state']}{where}{end})"
    if pending["nodes"]:
        yield f"the nodes, at {_clock(pending['as_of'])} UTC:"
        rows = [(node["node"], "never" if node["lasting"] else "not now" if node["code"] else "now", node["text"])
                for node in pending["nodes"]]  # fmt: skip
        yield from (f"  {line}" for line in plain_table(("node", "room for it", "why"), rows).split("\n"))
    yield "what would change it:"
    for change in pending["changes"]:
        yield f"  - {change['text']}"


def _attempt(attempt: Mapping[str, Any]) -> list[str]:
    chosen_by = f"policy {known(attempt.get('policy'))}, strategy {known(attempt.get('strategy'))}"
    lines = [f"  attempt {attempt['attempt']} on {attempt['node']}: {attempt['state']} ({chosen_by})"]
    if attempt.get("reason"):
        lines.append(f"    why this node: {attempt['reason']}")
    if attempt.get("predicted_seconds") is not None:
        lines.append(f"    predicted: {_predicted(attempt)}")
    if attempt.get("end_code") and attempt["state"] != "SUCCEEDED":
        lines.append(f"    ended: {attempt['end_code']}: {attempt.get('end_message') or '-'}")
    lines += [f"    {line}" for line in _candidates(attempt.get("candidates") or (), attempt["node"])]
    return lines + [f"    {line}" for line in _more(attempt.get("more_candidates") or {})]


def _predicted(attempt: Mapping[str, Any]) -> str:
    """`2.0 s (80 %: 1.5 to 2.6; learned from 4 runs)`."""
    text = f"{seconds_text(attempt['predicted_seconds'])} s"
    if attempt.get("predicted_low") is None:
        return text
    level, seen = 100 * attempt["prediction_level"], attempt["prediction_samples"]
    basis = f"learned from {seen} {'run' if seen == 1 else 'runs'}" if seen else attempt["prediction_basis"]
    low, high = seconds_text(attempt["predicted_low"]), seconds_text(attempt["predicted_high"])
    return f"{text} ({level:.0f} %: {low} to {high}; {basis})"


def _candidates(candidates: Sequence[Mapping[str, Any]], chosen: str) -> list[str]:
    """A table of what each node would have cost: first in time, then a column per score, then what it lacked."""
    if not candidates:
        return []
    names = list(dict.fromkeys(name for candidate in candidates for name in candidate.get("scores") or {}))
    costs = _COST_HEADERS if "run_seconds" in names else ()
    rest = [name for name in names if name not in _COSTS or not costs]
    headers = ("", "node", *costs, *(name.replace("_", " ") for name in rest), "out because")
    rows = [_candidate(candidate, rest, chosen=chosen, priced=bool(costs)) for candidate in candidates]
    return plain_table(headers, rows).split("\n")


def _more(counts: Mapping[str, int]) -> Iterator[str]:
    """`and 950 more: 900 full, 50 too small`."""
    by_word: Counter[str] = Counter()
    for code, count in counts.items():
        by_word[_in_a_word(code)] += count
    if by_word:
        told = ", ".join(f"{count:,} {word}" for word, count in by_word.most_common())
        yield f"and {by_word.total():,} more: {told}"


def _in_a_word(code: str) -> str:
    """What kept nodes out; of a server that is newer than this, its own name for it."""
    if code == _HAS_ROOM:
        return "with room"
    return kept_out(ReasonCode(code)) if code in _CODES else code


def _candidate(candidate: Mapping[str, Any], names: Sequence[str], *, chosen: str, priced: bool) -> list[str]:
    scores = candidate.get("scores") or {}
    exclusion = candidate.get("exclusion") or {}
    mark = "*" if candidate["node"] == chosen and not exclusion else ""
    costs = _cost(scores) if priced else []
    return [
        mark,
        candidate["node"],
        *costs,
        *(known(scores.get(name)) for name in names),
        exclusion.get("text", ""),
    ]


def _cost(scores: Mapping[str, Any]) -> list[str]:
    if scores.get("run_seconds") is None:
        return ["-"] * len(_COST_HEADERS)
    interval = f" ({seconds_text(scores.get('run_low'))} to {seconds_text(scores.get('run_high'))})"
    others = [scores.get(name) for name in ("transfer_seconds", "wait_seconds", "finish_seconds")]
    return [seconds_text(scores["run_seconds"]) + interval, *map(seconds_text, others)]


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


def _clock(moment: str) -> str:
    return f"{datetime.fromisoformat(moment).astimezone(UTC):%H:%M:%S}"
