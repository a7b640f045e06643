"""Signed messages: what is covered, and who takes what from whom."""

import json
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.lifecycle import AttemptState
from nodewise.core.messages import (
    CANCEL_JOBS,
    FORGET_JOBS,
    HEARTBEAT,
    START_JOBS,
    AttemptReport,
    CancelJobs,
    Heartbeat,
    JobRef,
    Message,
    StartJobs,
)
from nodewise.core.model.artifact import TaskOutputs
from nodewise.core.model.ids import AttemptKey, NodeName, RunId, TaskPath
from nodewise.core.model.node import Node
from nodewise.core.model.resources import Resources
from nodewise.core.nodekeys import ClusterSecret
from nodewise.core.sealing import (
    Opened,
    Opener,
    Refusal,
    Refused,
    Seal,
    open_unchecked,
    opener_of_agent,
    opener_of_carrier,
    opener_of_cluster,
    seal_of_agent,
    seal_of_carrier,
    seal_of_cluster,
    unsealed,
)

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
SECRET = ClusterSecret(raw=b"s" * 40)
MINUTE = timedelta(minutes=1)
KEY = AttemptKey(run_id=RunId("r"), path=TaskPath("train"), attempt=1)
N1, N2 = NodeName("n1"), NodeName("n2")


def clock() -> datetime:
    return NOW


def heartbeat(name: str = "n1") -> Heartbeat:
    report = AttemptReport(
        key=KEY,
        state=AttemptState.SUCCEEDED,
        outputs=TaskOutputs(parameters={"x": float("nan"), "t": "ü\ud800"}),
    )
    node = Node(name=NodeName(name), node_class="big", capacity=Resources(millicores=1000, memory_mib=100))
    return Heartbeat(node=node, boot_id="b", sequence=3, sent_at=NOW, attempts=(report,), leaving=True)


def start() -> StartJobs:
    return StartJobs(jobs=(JobRef(key=KEY, job_uri="store://x", dispatched_at=NOW),))


def agent_seal(name: NodeName = N1) -> Seal:
    return seal_of_agent(SECRET.node_key(name), clock)


def cluster_opener(now: datetime = NOW) -> Opener:
    return opener_of_cluster(SECRET, lambda: now, MINUTE)


def agent_opener(name: NodeName = N1) -> Opener:
    return opener_of_agent(SECRET.node_key(name), clock, MINUTE)


def sent(kind: str, node: NodeName, message: Message, seal: Seal) -> Any:
    """What arrives: JSON was made of it on the way."""
    return json.loads(json.dumps(seal(kind, node, message)))


def refused(opener: Opener, kind: str, payload: object) -> Refused:
    with pytest.raises(Refused) as raised:
        opener(kind, payload)
    return raised.value


def text_of(opened: Opened) -> str:
    """Its heartbeat, comparable: a number that is none equals none."""
    return json.dumps(opened.read(Heartbeat).model_dump(mode="json"))


def test_the_recorder_reads_what_an_agent_signed_as_it_was_written() -> None:
    opened = cluster_opener()(HEARTBEAT, sent(HEARTBEAT, N1, heartbeat(), agent_seal()))
    assert (opened.node, opened.realm, opened.fresh) == ("n1", "agents", True)
    assert text_of(opened) == json.dumps(heartbeat().model_dump(mode="json"))


def test_the_recorder_reads_what_a_carrier_signed_for_any_node() -> None:
    seal = seal_of_carrier(SECRET.carrier_key(), clock)
    for name in (N1, N2):
        opened = cluster_opener()(HEARTBEAT, sent(HEARTBEAT, name, heartbeat(name), seal))
        assert (opened.node, opened.realm) == (name, "kubernetes")


def test_agent_and_carrier_read_what_the_services_signed_for_their_node_alone() -> None:
    payload = sent(START_JOBS, N1, start(), seal_of_cluster(SECRET, clock))
    assert agent_opener()(START_JOBS, payload).read(StartJobs) == start()
    carrier = opener_of_carrier(SECRET.carrier_key(), clock, MINUTE)
    assert carrier(START_JOBS, payload).read(StartJobs) == start()
    assert refused(agent_opener(N2), START_JOBS, payload).why is Refusal.SIGNATURE


def changed(value: Any) -> Any:
    """Another value of that kind."""
    if isinstance(value, dict):
        return {**value, "agents": "0" * 64} if "agents" in value else {}
    return f"{value}0"


@pytest.mark.parametrize("field", ["node", "signed_at", "body", "macs"])
def test_a_change_of_any_field_of_what_travels_is_refused(field: str) -> None:
    payload = sent(HEARTBEAT, N1, heartbeat(), agent_seal())
    payload[field] = changed(payload[field])
    assert refused(cluster_opener(), HEARTBEAT, payload).why is Refusal.SIGNATURE


@given(data=st.data())
def test_a_change_of_any_value_within_the_message_is_refused(data: st.DataObject) -> None:
    """Whatever field a message has, or will have: the signature is over its whole text."""
    payload = sent(HEARTBEAT, N1, heartbeat(), agent_seal())
    content = json.loads(payload["body"])
    place = data.draw(st.sampled_from(sorted(places(content))))
    within(content, place[:-1])[place[-1]] = data.draw(st.integers(10**6, 10**9))
    payload["body"] = json.dumps(content, separators=(",", ":"))
    assert refused(cluster_opener(), HEARTBEAT, payload).why is Refusal.SIGNATURE


@given(data=st.data())
def test_a_change_of_any_character_is_refused(data: st.DataObject) -> None:
    payload = sent(HEARTBEAT, N1, heartbeat(), agent_seal())
    text = payload["body"]
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters().filter(lambda c: c != text[at]))
    payload["body"] = text[:at] + other + text[at + 1 :]
    assert refused(cluster_opener(), HEARTBEAT, payload).why is Refusal.SIGNATURE


def places(value: Any, before: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Where every value of a message stands."""
    items = (
        value.items()
        if isinstance(value, dict)
        else ((str(i), v) for i, v in enumerate(value))
        if isinstance(value, list)
        else ()
    )
    return {place for k, v in items for place in ({(*before, k)} | places(v, (*before, k)))}


def within(value: Any, place: tuple[str, ...]) -> Any:
    for step in place:
        value = value[int(step) if isinstance(value, list) else step]
    return _Indexed(value) if isinstance(value, list) else value


class _Indexed:
    """A list whose places are texts."""

    def __init__(self, items: list[Any]) -> None:
        self._items = items

    def __setitem__(self, place: str, value: Any) -> None:
        self._items[int(place)] = value


@pytest.mark.parametrize("kind", [START_JOBS, FORGET_JOBS, HEARTBEAT])
def test_a_message_is_not_taken_for_one_of_another_kind(kind: str) -> None:
    payload = sent(CANCEL_JOBS, N1, CancelJobs(keys=(KEY,)), seal_of_cluster(SECRET, clock))
    assert refused(agent_opener(), kind, payload).why is Refusal.SIGNATURE


def test_nobody_speaks_for_another_node() -> None:
    payload = sent(HEARTBEAT, N1, heartbeat(), agent_seal(N2))
    assert refused(cluster_opener(), HEARTBEAT, payload).node == "n1"


def test_an_agents_key_is_none_of_a_carrier_nor_the_other_way() -> None:
    payload = sent(HEARTBEAT, N1, heartbeat(), agent_seal())
    payload["macs"] = {"kubernetes": payload["macs"]["agents"]}
    assert refused(cluster_opener(), HEARTBEAT, payload).why is Refusal.SIGNATURE
    payload = sent(HEARTBEAT, N1, heartbeat(), seal_of_carrier(SECRET.carrier_key(), clock))
    payload["macs"] = {"agents": payload["macs"]["kubernetes"]}
    assert refused(cluster_opener(), HEARTBEAT, payload).why is Refusal.SIGNATURE


def test_another_clusters_key_is_refused() -> None:
    other = seal_of_agent(ClusterSecret(raw=b"t" * 40).node_key(N1), clock)
    assert (
        refused(cluster_opener(), HEARTBEAT, sent(HEARTBEAT, N1, heartbeat(), other)).why is Refusal.SIGNATURE
    )


@pytest.mark.parametrize(
    "payload",
    [
        unsealed(HEARTBEAT, N1, heartbeat()),
        None, [], "text", 7, {}, {"macs": {}}, {"macs": 7, "node": "n1"},
        {"node": "n1", "signed_at": "2030", "body": 7, "macs": {}},
        {"node": {"name": ["n1"]}, "macs": None},
    ],
)  # fmt: skip
def test_what_is_not_signed_is_refused_as_such(payload: object) -> None:
    assert refused(cluster_opener(), HEARTBEAT, payload).why is Refusal.UNSIGNED


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["node", "macs", "body", "signed_at"]), inner),
    )
)  # fmt: skip
def test_whatever_is_sent_is_refused_and_breaks_nothing(payload: object) -> None:
    assert refused(cluster_opener(), HEARTBEAT, payload).why in (Refusal.UNSIGNED, Refusal.SIGNATURE)
    assert isinstance(open_unchecked(HEARTBEAT, payload), Opened)


@given(mac=st.text(), node=st.text(), signed_at=st.text(), body=st.text())
def test_no_text_passes_for_a_signature(mac: str, node: str, signed_at: str, body: str) -> None:
    payload = {"node": node, "signed_at": signed_at, "body": body, "macs": {"agents": mac}}
    assert refused(cluster_opener(), HEARTBEAT, payload).why is Refusal.SIGNATURE


def test_where_one_part_ends_and_the_next_begins_is_covered() -> None:
    payload = sent(HEARTBEAT, N1, heartbeat(), agent_seal())
    moved = deepcopy(payload)
    moved["signed_at"], moved["body"] = payload["signed_at"][:-1], payload["signed_at"][-1] + payload["body"]
    assert refused(cluster_opener(), HEARTBEAT, moved).why is Refusal.SIGNATURE


@pytest.mark.parametrize(
    ("late", "fresh"), [(timedelta(), True), (MINUTE, True), (-MINUTE, True), (61 * MINUTE, False), (-2 * MINUTE, False)]
)  # fmt: skip
def test_what_was_signed_long_ago_or_ahead_of_us_is_not_fresh(late: timedelta, fresh: bool) -> None:
    payload = sent(HEARTBEAT, N1, heartbeat(), agent_seal())
    assert cluster_opener(NOW + late)(HEARTBEAT, payload).fresh is fresh


def test_a_holder_of_the_key_who_signs_nonsense_breaks_nothing() -> None:
    class Nonsense(Message):
        def model_dump(self, **_: Any) -> Any:
            return {"deep": 1}

    opened = cluster_opener()(HEARTBEAT, sent(HEARTBEAT, N1, Nonsense(), agent_seal()))
    with pytest.raises(ValueError, match="node"):
        opened.read(Heartbeat)


def test_where_keys_are_not_wanted_both_forms_are_read() -> None:
    signed = open_unchecked(HEARTBEAT, sent(HEARTBEAT, N1, heartbeat(), agent_seal()))
    plain = open_unchecked(HEARTBEAT, json.loads(json.dumps(unsealed(HEARTBEAT, N1, heartbeat()))))
    assert text_of(signed) == text_of(plain)
    assert signed.realm is plain.realm is None
