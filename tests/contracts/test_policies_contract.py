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


def test_every_installed_policy_has_its_contract_tests() -> None:
    tested = {case().make().name for case in (TestFifo, TestPriority, TestRandom, TestShortest)}
    assert tested == set(plugins.policies())


def test_an_unknown_policy_names_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="known: fifo, priority, random, shortest"):
        plugins.policy("fastest")
