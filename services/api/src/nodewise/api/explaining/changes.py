"""What would let a waiting task start, or start sooner: for every reason to wait, derived, never guessed."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Final

from nodewise.api.explaining.needs import Relaxed, allowed_on, small_enough_for
from nodewise.api.explaining.releases import Release, earliest_release, release_of
from nodewise.api.explaining.waiting import Awaited, Change, ChangeKind, Rival, Waiting, clock
from nodewise.api.others import called
from nodewise.core.feasibility import exclusion, lasting_exclusion, without_cordon
from nodewise.core.lifecycle import FINAL_TASK_STATES, TaskState
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import NodeName
from nodewise.core.refusals import about, needs

_NODES_NAMED: Final = 2
"""So many nodes are offered for a task that needs less: the nearest ones."""

_MINDS_PRIORITY: Final = frozenset({"priority", "balanced"})

_LIVE: Final = frozenset({TaskState.PLACED, TaskState.RUNNING})


def changes(waiting: Waiting) -> tuple[Change, ...]:
    """What would change it, nearest first; never empty.

    A reason that is none for waiting is that of an attempt that ended: the task is as good as lost there.
    """
    if waiting.canceling:
        return (Change(kind=ChangeKind.NOTHING, text="nothing: the recorder is about to cancel it"),)
    answer = ANSWERS.get(waiting.code, _lost) if waiting.code else _for_room
    return tuple(answer(waiting))


def _upstream(waiting: Waiting) -> Iterator[Change]:
    gone = [one for one in waiting.upstream if one.state in FINAL_TASK_STATES]
    if gone:
        ended = ", ".join(f"{one.path} is {one.state}" for one in gone)
        yield Change(kind=ChangeKind.NOTHING, text=f"nothing: {ended}; the recorder is about to decide on it")
        return
    for one in waiting.upstream:
        where = f" on {one.node}" if one.node else ""
        end = f", {about(one.expected_end_at, waiting.now)}" if one.expected_end_at else ""
        yield Change(
            kind=ChangeKind.TIME,
            text=f"when {one.path}, {_doing(one)}{where}, has ended{end}",
            node=one.node,
            at=one.expected_end_at,
        )
    if not waiting.upstream:
        yield Change(kind=ChangeKind.NOTHING, text="its inputs are there; the recorder is about to let it on")


def _doing(one: Awaited) -> str:
    return f"which is {one.state}" if one.state in _LIVE else "which waits itself"


def _queued(waiting: Waiting) -> Iterator[Change]:
    each = "each look" if waiting.looks == 1 else f"one look in {waiting.looks:,}, or more often,"
    yield Change(
        kind=ChangeKind.NOTHING,
        text=f"nothing has to: it is considered in {each} of the scheduler, and goes when those before it are placed",
    )
    yield from _order(waiting)


def _moving(_: Waiting) -> Iterator[Change]:
    yield Change(kind=ChangeKind.NOTHING, text="nothing has to: a placer takes it next")


def _no_nodes(waiting: Waiting) -> Iterator[Change]:
    yield Change(kind=ChangeKind.NODE, text=f"a node that joins with {needs(waiting.spec)}")


def _unsatisfiable(waiting: Waiting) -> Iterator[Change]:
    found = [exclusion(waiting.spec, view, waiting.cluster) for view in waiting.cluster.nodes]
    since_then = any(excluded is None or not excluded.permanent for excluded in found)
    yield from _for_room(waiting) if since_then else _another(waiting)


def _another(waiting: Waiting) -> Iterator[Change]:
    """Another node, or a task that gives way where that takes least."""
    yield from _uncordoned(waiting)
    yield Change(kind=ChangeKind.NODE, text=f"another node, with {needs(waiting.spec)}")
    found = [(view.name, allowed_on(waiting.spec, view, waiting.cluster)) for view in waiting.cluster.nodes]
    near = sorted(
        ((name, relaxed) for name, relaxed in found if relaxed is not None and relaxed.given_up),
        key=lambda pair: (len(pair[1].given_up), not pair[1].now, pair[0]),
    )
    for name, relaxed in near[:_NODES_NAMED]:
        yield from _allowed(name, relaxed)


def _allowed(name: NodeName, relaxed: Relaxed) -> Iterator[Change]:
    could = f"{name} could take it now" if relaxed.now else f"{name} could take it when it has room"
    if relaxed.labels_only:
        labels = " and ".join(words.removeprefix("no need of ") for words in relaxed.labels)
        yield Change(kind=ChangeKind.NODE, node=name, text=f"{labels} on {name}: {could}")
    yield Change(kind=ChangeKind.TASK, node=name, text=f"with {' and '.join(relaxed.given_up)}: {could}")


def _for_room(waiting: Waiting) -> Iterator[Change]:
    """Of a task that only lacks room: who has some now, who will, and how much less would do."""
    able = _able(waiting)
    if able:
        yield Change(
            kind=ChangeKind.NOTHING, node=able[0], text=f"nothing has to: {able[0]} has room for it now"
        )
        return
    release = earliest_release(waiting.spec, waiting.cluster, waiting.running)
    told = list(chain(_released(release, waiting), _uncordoned(waiting), _smaller(waiting), _order(waiting)))
    yield from told or _another(waiting)


def _uncordoned(waiting: Waiting) -> Iterator[Change]:
    for view in waiting.cluster.nodes:
        node = view.node
        cordoned = any(taint.cordons for taint in node.taints)
        if cordoned and lasting_exclusion(waiting.spec, without_cordon(node)) is None:
            text = f"{node.name} uncordoned: it could take it then"
            yield Change(kind=ChangeKind.NODE, node=node.name, text=text)


def _able(waiting: Waiting) -> Sequence[NodeName]:
    views = waiting.cluster.nodes
    return [view.name for view in views if exclusion(waiting.spec, view, waiting.cluster) is None]


def _released(release: Release | None, waiting: Waiting) -> Iterator[Change]:
    if release is None:
        return
    tasks = _listed([called(one.ref, waiting.hidden) for one in release.ended])
    ends = "ends" if len(release.ended) == 1 else "have ended"
    yield Change(
        kind=ChangeKind.TIME,
        node=release.node,
        at=release.at,
        text=f"when {tasks} on {release.node} {ends}, {about(release.at, waiting.now)}, it has room",
    )


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _smaller(waiting: Waiting) -> Iterator[Change]:
    found = [
        (view.name, small_enough_for(waiting.spec, view, waiting.cluster)) for view in waiting.cluster.nodes
    ]
    near = sorted(
        ((name, relaxed) for name, relaxed in found if relaxed is not None),
        key=lambda pair: (len(pair[1].given_up), -_left(pair[1]), pair[0]),
    )
    for name, relaxed in near[:_NODES_NAMED]:
        text = f"with {' and '.join(relaxed.given_up)}: {name} could take it now"
        yield Change(kind=ChangeKind.TASK, node=name, text=text)


def _left(relaxed: Relaxed) -> int:
    return relaxed.spec.resources.memory_mib + relaxed.spec.resources.millicores


def _order(waiting: Waiting) -> Iterator[Change]:
    """What a higher priority would do, under policies that mind it."""
    if waiting.policy not in _MINDS_PRIORITY:
        return
    ahead = [rival for rival in waiting.rivals if _is_before(rival, waiting)]
    if not ahead:
        return
    top = max(rival.priority for rival in ahead)
    count = sum(rival.tasks for rival in ahead)
    tasks = "1 task that waits" if count == 1 else f"{count} tasks that wait"
    than = f"a priority above {top}" if waiting.all_teams else "a higher priority"
    yield Change(kind=ChangeKind.ORDER, text=f"submitted with {than}, it would come before {tasks}")


def _is_before(rival: Rival, waiting: Waiting) -> bool:
    if rival.priority != waiting.priority:
        return rival.priority > waiting.priority
    # `balanced` sets no order among equals.
    return waiting.policy == "priority" and rival.submitted_at < waiting.submitted_at


def _planned(waiting: Waiting) -> Iterator[Change]:
    """Of a task that its plan has later: on which node, when, and by whose end."""
    expected = waiting.expected
    if expected is None:
        yield from _for_room(waiting)
        return
    yield Change(
        kind=ChangeKind.TIME,
        node=expected.node,
        at=expected.start_at,
        text=f"when its time in the plan comes: on {expected.node} from {about(expected.start_at, waiting.now)}",
    )
    for view in waiting.cluster.nodes:
        if view.name == expected.node:
            release = release_of(waiting.spec, view, waiting.cluster, waiting.running)
            yield from _released(release, waiting)
    others = [name for name in _able(waiting) if name != expected.node]
    if others:
        text = f"allowed on {others[0]} only, which has room for it now, it need not wait, but may end later"
        yield Change(kind=ChangeKind.TASK, node=others[0], text=text)
    yield from _order(waiting)


def _kept_free(waiting: Waiting) -> Iterator[Change]:
    yield Change(
        kind=ChangeKind.TIME,
        text="when the task that the node is kept free for has started, here or elsewhere",
    )
    release = earliest_release(waiting.spec, waiting.cluster, waiting.running)
    yield from chain(_released(release, waiting), _order(waiting))


def _team_quota(_: Waiting) -> Iterator[Change]:
    yield Change(
        kind=ChangeKind.TIME, text="when tasks of its team have ended that hold what it needs of the quota"
    )
    yield Change(kind=ChangeKind.ORDER, text="a larger quota for its team (NODEWISE_TEAM_QUOTAS)")


def _backoff(waiting: Waiting) -> Iterator[Change]:
    yield from _asked_again(waiting, "when its time to be tried again comes")


def _asked_again(waiting: Waiting, what: str) -> Iterator[Change]:
    at = waiting.not_before
    due = at is not None and at > waiting.now
    when = f", at {clock(at)}" if at is not None and due else ", in the next look of the scheduler"
    yield Change(kind=ChangeKind.TIME, at=at if due else None, text=what + when)


def _strategy_rule(waiting: Waiting) -> Iterator[Change]:
    yield from _asked_again(
        waiting, f"when the strategy {waiting.strategy} answers otherwise: it is asked again"
    )
    for name in _able(waiting)[:1]:
        text = f"submitted with another strategy: {name} has room for it now"
        yield Change(kind=ChangeKind.PLUGIN, node=name, text=text)


def _unknown_policy(waiting: Waiting) -> Iterator[Change]:
    yield _missing("policy", waiting.policy, "the scheduler")


def _unknown_strategy(waiting: Waiting) -> Iterator[Change]:
    yield _missing("strategy", waiting.strategy, "the placers and the scheduler")


def _missing(kind: str, name: str, where: str) -> Change:
    text = f"the package of the {kind} {name} installed where {where} run, or a run submitted with another {kind}"
    return Change(kind=ChangeKind.PLUGIN, text=text)


def _job_not_built(_: Waiting) -> Iterator[Change]:
    text = "another submission: what is on record makes no job, and never changes"
    yield Change(kind=ChangeKind.TASK, text=text)


def _lost(waiting: Waiting) -> Iterator[Change]:
    """It was on a node, and was lost there without a fault of its own."""
    yield from _asked_again(waiting, "when it is considered again")
    yield from _for_room(waiting)


ANSWERS: Final[Mapping[ReasonCode, Callable[[Waiting], Iterable[Change]]]] = MappingProxyType(
    {
        ReasonCode.UPSTREAM_NOT_FINISHED: _upstream,
        ReasonCode.QUEUED: _queued,
        ReasonCode.NO_NODES: _no_nodes,
        ReasonCode.NO_ROOM: _for_room,
        ReasonCode.UNSATISFIABLE: _unsatisfiable,
        ReasonCode.RETRY_BACKOFF: _backoff,
        ReasonCode.WAITS_FOR_NODE: _planned,
        ReasonCode.PLANNED_LATER: _planned,
        ReasonCode.KEPT_FREE: _kept_free,
        ReasonCode.TEAM_QUOTA: _team_quota,
        ReasonCode.STRATEGY_RULE: _strategy_rule,
        ReasonCode.UNKNOWN_POLICY: _unknown_policy,
        ReasonCode.UNKNOWN_STRATEGY: _unknown_strategy,
        ReasonCode.JOB_NOT_BUILT: _job_not_built,
        ReasonCode.ADMITTED: _moving,
        ReasonCode.LOST_RACE: _moving,
        ReasonCode.LEASE_ENDED: _lost,
        ReasonCode.AGENT_FORGOT: _lost,
        ReasonCode.AGENT_ERROR: _lost,
    }
)
"""How each reason to wait is answered."""
