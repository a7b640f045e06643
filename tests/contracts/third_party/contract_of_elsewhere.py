"""The tests that the other package would have: our contract suites on its classes. Run by `test_third_party.py`."""

from nodewise.core import plugins
from nodewise.core.ports import Policy, Strategy
from tests.contracts.policy_contract import PolicyContract
from tests.contracts.strategy_contract import StrategyContract


class TestNewest(PolicyContract):
    def make(self) -> Policy:
        return plugins.policy("newest")


class TestPack(StrategyContract):
    def make(self) -> Strategy:
        return plugins.strategy("pack")
