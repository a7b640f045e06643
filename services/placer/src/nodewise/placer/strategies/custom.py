from collections.abc import Mapping, Sequence

from nodewise.core.model.decision import Decision
from nodewise.core.model.ids import NodeName, RunId
from nodewise.core.model.node import Cluster, NodeView
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PlacementContext
from nodewise.placer.placement import Choice, Score, Wait, named, place_each
from nodewise.placer.scores import SORT_KEYS, booked_share, percent, strength
from nodewise.placer.strategies.rules import Fallback, Rule, Rules, parse_rules


class Custom:
    """Rules as data: per kind of task and type of model, which nodes are allowed and which come first.

    Of the allowed nodes that can take the task: first one where its pipeline already ran (if the rule says so), then
    one with the accelerator that is not too loaded (if the rule names one), then by the rule's sort keys, then by name.
    Where the rule allows none of them, the strongest takes it, unless the rules say to wait.

    Options: a `Rules` document (see `custom_rules.json`); none: the shipped rules.
    """

    name = "custom"
    summary = "Rules per kind of task and model: allowed nodes, accelerators, keeping a pipeline together."

    def place(
        self, tasks: Sequence[WaitingTask], cluster: Cluster, context: PlacementContext
    ) -> Sequence[Decision]:
        return place_each(tasks, cluster, _Follower(parse_rules(context.options)).choose)

    def check_options(self, options: Mapping[str, object]) -> None:
        """Refuse options before the first task is placed by them.

        Raises:
            InvalidOptions: They break a rule.
        """
        parse_rules(options)


class _Follower:
    """Follows the rules, and remembers where each run's tasks went in this call."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._latest: dict[RunId, tuple[NodeName, ...]] = {}

    def choose(self, task: WaitingTask, nodes: Sequence[NodeView]) -> Choice | Wait:
        rule = self._rules.rule_for(task.spec)
        allowed = [view for view in nodes if rule.allows(view.node)]
        choice = self._among(allowed, task, rule) if allowed else self._beside(nodes, rule)
        if isinstance(choice, Choice):
            self._latest[task.ref.run_id] = (choice.node, *self._siblings(task))
        return choice

    def _siblings(self, task: WaitingTask) -> tuple[NodeName, ...]:
        return (*self._latest.get(task.ref.run_id, ()), *task.sibling_nodes)

    def _among(self, allowed: Sequence[NodeView], task: WaitingTask, rule: Rule) -> Choice:
        siblings = self._siblings(task) if rule.together else ()
        rank = {name: place for place, name in reversed(list(enumerate(siblings)))}
        scores = {view.name: _scores(view, rule, rank.get(view.name)) for view in allowed}
        chosen = min(allowed, key=lambda view: (*_key(view, rule, rank.get(view.name)), view.name))
        because = _because(chosen, rule, rank)
        rest = [view.name for view in allowed if view.name != chosen.name]
        text = f"rule '{rule.name}': {because}{f'; also allowed: {named(rest)}' if rest else ''}"
        return Choice(node=chosen.name, text=text, scores=scores)

    def _beside(self, nodes: Sequence[NodeView], rule: Rule) -> Choice | Wait:
        if self._rules.fallback is Fallback.WAIT:
            able = named([view.name for view in nodes])
            return Wait(text=f"rule '{rule.name}' allows none of the nodes that can take it now ({able})")
        chosen = min(nodes, key=lambda view: (*(-size for size in strength(view)), view.name))
        return Choice(
            node=chosen.name,
            text=f"rule '{rule.name}' allows no node that can take it now; the strongest that can",
            scores={view.name: {"cores": view.node.capacity.millicores / 1000} for view in nodes},
        )


def _key(view: NodeView, rule: Rule, rank: int | None) -> tuple[float, ...]:
    together = float("inf") if rank is None else float(rank)
    return (together, not _accelerates(view, rule), *(SORT_KEYS[key](view) for key in rule.sort))


def _accelerates(view: NodeView, rule: Rule) -> bool:
    if rule.accelerator is None or view.node.accelerator is None:
        return False
    fits = rule.accelerator in ("any", view.node.accelerator)
    return fits and booked_share(view) <= rule.accelerator_until_load


def _scores(view: NodeView, rule: Rule, rank: int | None) -> dict[str, Score]:
    scores: dict[str, Score] = {}
    if rule.together:
        scores["pipeline_ran_here"] = "yes" if rank is not None else "no"
    if rule.accelerator is not None:
        scores["accelerator"] = view.node.accelerator or "none"
    return scores | {key: float(abs(SORT_KEYS[key](view))) for key in rule.sort}


def _because(chosen: NodeView, rule: Rule, rank: Mapping[NodeName, int]) -> str:
    if chosen.name in rank:
        return "its pipeline ran here"
    if _accelerates(chosen, rule):
        return (
            f"has accelerator {chosen.node.accelerator}, {percent(booked_share(chosen))} of its cores booked"
        )
    if not rule.sort:
        return "first by name"
    return f"best by {', '.join(rule.sort)}"
