"""What runs there are and what became of ours: lists that miss none, polls whose cost does not grow with what has ended."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from nodewise.core.engine.kubeflow.client import KfpApi
from nodewise.core.engine.kubeflow.runs import LIVE_STATES, KfpRun
from nodewise.core.engine.kubeflow.tasks import RunSighting, from_details, from_workflow

OVERLAP: Final = timedelta(minutes=2)
"""KFP's times are whole seconds of several servers' clocks: what is new may look older than what was seen already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """What a look at KFP told.

    `runs` are those asked for that KFP has, `unknown` those that it says it does not have: lost, deleted or not yet there,
    but not failed. `changed` are those of `runs` of which `sight` may tell something new.
    """

    runs: Mapping[str, KfpRun]
    unknown: frozenset[str]
    changed: frozenset[str]
    digests: Mapping[str, int] = field(repr=False)


def poll(kfp: KfpApi, followed: Collection[str], *, digests: Mapping[str, int]) -> Poll:
    """Look at the runs that we follow: all live ones by list, and one by one those that are not among them.

    Args:
        kfp: where to look.
        followed: ids of our runs whose end is not on record.
        digests: of the last poll; empty at first.

    Raises:
        KfpUnavailable: nothing was learnt, of any run.
    """
    wanted = frozenset(followed)
    if not wanted:
        return Poll(runs={}, unknown=frozenset(), changed=frozenset(), digests={})
    runs = {run.run_id: run for run in every_run(kfp, filter_by=_live()) if run.run_id in wanted}
    for run_id in sorted(wanted - runs.keys()):
        run = kfp.get_run(run_id)
        if run is not None:
            runs[run_id] = run
    new = {run_id: run.digest for run_id, run in runs.items()}
    # That a pod has become unschedulable does not show in a digest.
    changed = {key for key, run in runs.items() if digests.get(key) != new[key] or run.has_pending_tasks}
    return Poll(runs=runs, unknown=wanted - runs.keys(), changed=frozenset(changed), digests=new)


def sight(kfp: KfpApi, run: KfpRun, *, once: Collection[str] = ()) -> RunSighting:
    """The tasks of a run with their nodes, from v1beta1; from v2beta1, where that tells nothing.

    Args:
        kfp: where to look.
        run: of a recent poll.
        once: the paths of the leaf tasks that run once: v2beta1 can tell of no others.
    """
    answer = kfp.run_in_v1(run.run_id)
    found = None if answer is None else from_workflow(answer)
    return from_details(run, once=once) if found is None else found


def new_runs(kfp: KfpApi, *, since: datetime | None) -> tuple[tuple[KfpRun, ...], datetime | None]:
    """All runs that were created since the watermark, ours or not, and the next watermark.

    Some are told twice (see `OVERLAP`): keep them by id.
    """
    text = "" if since is None else _created_since(since - OVERLAP)
    found = {run.run_id: run for run in every_run(kfp, filter_by=text)}
    times = [run.created_at for run in found.values() if run.created_at is not None]
    return tuple(found.values()), max(times, default=since)


def every_run(kfp: KfpApi, *, filter_by: str = "") -> Iterator[KfpRun]:
    """All runs that pass the filter, oldest first: what is added meanwhile comes at the end, and is not missed."""
    page = kfp.list_runs(sort_by="created_at asc", filter_by=filter_by)
    yield from page.runs
    while page.next_token:
        page = kfp.list_runs(page_token=page.next_token)
        yield from page.runs


def _live() -> str:
    states = [str(state) for state in LIVE_STATES]
    return _filter({"operation": "IN", "key": "state", "string_values": {"values": states}})


def _created_since(moment: datetime) -> str:
    stamp = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return _filter({"operation": "GREATER_THAN_EQUALS", "key": "created_at", "timestamp_value": stamp})


def _filter(predicate: Mapping[str, object]) -> str:
    return json.dumps({"predicates": [predicate]})
