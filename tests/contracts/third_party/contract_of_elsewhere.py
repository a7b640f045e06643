"""The tests that the other package would have: our contract suites on its classes. Run by `test_third_party.py`."""

from nodewise.core import plugins
from nodewise.core.model.problem import Planner
from nodewise.core.ports import Policy, Strategy
from tests.contracts.planner_contract import PlannerContract
from tests.contracts.policy_contract import PolicyContract
from tests.contracts.strategy_contract import StrategyContract


class TestNewest(PolicyContract):
    def make(self) -> Policy:
        return plugins.policy("newest")


class TestPack(StrategyContract):
    def make(self) -> Strategy:
        return plugins.strategy("pack")


class TestOneByOne(PlannerContract):
    def make(self) -> Planner:
        return plugins.planner("one_by_one")
