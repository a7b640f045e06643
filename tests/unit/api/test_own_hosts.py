"""Under which names a gateway without keys answers."""

import pytest

from nodewise.api.auth.hosts import OwnHosts


@pytest.mark.parametrize(
    "host",
    [None, "localhost", "LOCALHOST:80", "localhost.", "a.localhost:1", "127.0.0.1:8080", "[::1]:8080", "10.1.2.3", "[fe80::1]", "api:8080",
     "api.nodewise.svc", "api.nodewise.svc.cluster.local:8080", "box.lab.example", "Box.Lab.Example:1"],
)  # fmt: skip
def test_this_machine_has_many_names(host: str | None) -> None:
    assert OwnHosts(machine="box.lab.example").has(host)


@pytest.mark.parametrize(
    "host",
    ["hostile.example", "hostile.example:8080", "localhost.hostile.example", "127.0.0.1.hostile.example", "hostile.example#localhost",
     "localhost@hostile.example", "svc.hostile.example", "notlocalhost.com", "[::1", "", ":80", "127.0.0.1x.example", "x.box.lab.example"],
)  # fmt: skip
def test_others_are_not_ours(host: str) -> None:
    assert not OwnHosts(machine="box.lab.example").has(host)


def test_others_can_be_allowed() -> None:
    hosts = OwnHosts(["Nodewise.example", "*.team.example"], machine="box")
    assert all(map(hosts.has, ("nodewise.example:443", "a.team.example", "a.b.team.example")))
    assert not any(map(hosts.has, ("x.nodewise.example", "team.example", "ateam.example")))
    assert OwnHosts(["*"]).has("hostile.example")
