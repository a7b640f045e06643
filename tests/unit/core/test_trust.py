"""Whom a process believes, by its settings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nodewise.core.messages import HEARTBEAT, NotHeard
from nodewise.core.messaging.trust import Trust, trust_of_agent, trust_of_carrier, trust_of_services
from nodewise.core.model.ids import NodeName
from nodewise.core.nodekeys import BadKey
from nodewise.core.sealing import Refusal, Refused, unsealed
from nodewise.core.settings import Settings
from tests.support.nodekeys import agent_key_file, carrier_key_file, secret_file

N1 = NodeName("n1")
MESSAGE = NotHeard(why="x")
ALL: tuple[Callable[[Settings], Trust], ...] = (
    trust_of_services,
    lambda settings: trust_of_agent(settings, "n1"),
    trust_of_carrier,
)


@pytest.fixture
def trusts(tmp_path: Path) -> Callable[..., list[Trust]]:
    """Of services, the agent of n1 and a carrier, each with what it needs."""
    files: tuple[dict[str, Any], ...] = (
        {"node_secret_file": secret_file(tmp_path)},
        {"node_key_file": agent_key_file(tmp_path, "n1")},
        {"node_key_file": carrier_key_file(tmp_path)},
    )

    def make(**settings: Any) -> list[Trust]:
        return [of(Settings(**given, **settings)) for of, given in zip(ALL, files, strict=True)]

    return make


def believes(one: Trust, other: Trust) -> bool:
    try:
        return one.opens(HEARTBEAT, other.seal(HEARTBEAT, N1, MESSAGE)).read(NotHeard) == MESSAGE
    except Refused:
        return False


def test_services_and_nodes_believe_each_other_and_nodes_of_two_engines_do_not(
    trusts: Callable[..., list[Trust]],
) -> None:
    services, agent, carrier = trusts()
    for node in (agent, carrier):
        assert believes(node, services)
        assert believes(services, node)
    assert not believes(agent, carrier)
    assert not believes(carrier, agent)


def test_nobody_is_believed_without_a_signature(trusts: Callable[..., list[Trust]]) -> None:
    for one in trusts():
        with pytest.raises(Refused) as raised:
            one.opens(HEARTBEAT, unsealed(HEARTBEAT, N1, MESSAGE))
        assert raised.value.why is Refusal.UNSIGNED


def test_keys_can_be_brought_in_one_process_after_the_other(trusts: Callable[..., list[Trust]]) -> None:
    """Who has a key signs although none is wanted yet, and so is believed by who wants it already."""
    services, agent, carrier = trusts()
    services_before, agent_before, carrier_before = trusts(node_keys="off")
    for one, other in (
        (services, agent_before), (services_before, agent), (agent, services_before), (agent_before, services),
        (services, carrier_before), (services_before, carrier), (carrier, services_before), (carrier_before, services),
    ):  # fmt: skip
        assert believes(one, other)


@pytest.mark.parametrize("of", ALL)
@pytest.mark.parametrize("file", [None, Path()])
def test_what_is_missing_is_said_unless_none_is_wanted(
    of: Callable[[Settings], Trust], file: Path | None
) -> None:
    files: dict[str, Any] = {"node_secret_file": file, "node_key_file": file}
    with pytest.raises(BadKey, match=r"is missing: .*; or set NODEWISE_NODE_KEYS=off, here and everywhere"):
        of(Settings(**files))
    assert of(Settings(node_keys="off", **files)) == Trust()


def test_a_key_of_another_name_is_not_used(tmp_path: Path) -> None:
    settings = Settings(node_key_file=agent_key_file(tmp_path, "n2"))
    with pytest.raises(BadKey, match="holds the key of node n2, and this is n1"):
        trust_of_agent(settings, "n1")
