from itertools import permutations

from nodewise.scheduler.policies.fifo import Fifo
from nodewise.scheduler.policies.priority import Priority
from nodewise.scheduler.policies.random import Random
from nodewise.scheduler.policies.shortest import Shortest
from tests.support.builders import a_task, paths, policy_context


def test_fifo_takes_the_earliest_submission_first_then_the_earliest_ready_then_the_path() -> None:
    tasks = [
        a_task("late", submitted=2, ready=2),
        a_task("b", submitted=1, ready=5),
        a_task("a", submitted=1, ready=5),
        a_task("soon", submitted=1, ready=3),
    ]
    assert paths(Fifo().order(tasks, policy_context())) == ["soon", "a", "b", "late"]


def test_priority_takes_the_higher_first_then_the_earlier() -> None:
    tasks = [
        a_task("low", priority=-1),
        a_task("later", submitted=1, priority=5),
        a_task("first", priority=5),
    ]
    assert paths(Priority().order(tasks, policy_context())) == ["first", "later", "low"]


def test_shortest_takes_the_least_effort_first_and_unknown_last_in_order_of_arrival() -> None:
    tasks = [
        a_task("unknown2", submitted=2),
        a_task("long", effort_flops=1e9),
        a_task("unknown1", submitted=1),
        a_task("short", effort_flops=1e3, submitted=9),
    ]
    assert paths(Shortest().order(tasks, policy_context())) == ["short", "long", "unknown1", "unknown2"]


def test_random_reaches_every_order() -> None:
    tasks = [a_task(name) for name in "abc"]
    policy = Random()
    orders = {tuple(paths(policy.order(tasks, policy_context(seed)))) for seed in range(200)}
    assert orders == set(permutations("abc"))
