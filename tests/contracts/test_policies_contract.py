"""Every policy that is installed keeps the contract."""

import pytest

from nodewise.core import plugins
from nodewise.core.errors import UnknownName
from nodewise.core.ports import Policy
from tests.contracts.policy_contract import PolicyContract


class TestFifo(PolicyContract):
    def make(self) -> Policy:
        return plugins.policy("fifo")


class TestPriority(PolicyContract):
    def make(self) -> Policy:
        return plugins.policy("priority")


class TestRandom(PolicyContract):
    def make(self) -> Policy:
        return plugins.policy("random")


class TestShortest(PolicyContract):
    def make(self) -> Policy:
        return plugins.policy("shortest")


class TestFairShare(PolicyContract):
    def make(self) -> Policy:
        return plugins.policy("fair_share")


class TestDeadline(PolicyContract):
    def make(self) -> Policy:
        return plugins.policy("deadline")


class TestBalanced(PolicyContract):
    def make(self) -> Policy:
        return plugins.policy("balanced")


def test_every_installed_policy_has_its_contract_tests() -> None:
    cases = (TestFifo, TestPriority, TestRandom, TestShortest, TestFairShare, TestDeadline, TestBalanced)
    assert {case().make().name for case in cases} == set(plugins.policies())


def test_an_unknown_policy_names_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="known: balanced, deadline, fair_share, fifo"):
        plugins.policy("fastest")
