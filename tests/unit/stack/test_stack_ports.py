from pathlib import Path

import pytest

from nodewise.stack import ports
from nodewise.stack.ports import bind, choose_ports


def test_ports_are_chosen_where_no_outgoing_connection_gets_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tmp_path / "range"
    said.write_text("21000\t60999\n")
    monkeypatch.setattr(ports, "_EPHEMERAL", said)
    chosen = choose_ports([f"s{number}" for number in range(20)], {})
    assert len(set(chosen.values())) == 20
    assert all(9000 <= port < 21000 for port in chosen.values())


@pytest.mark.parametrize("words", ["", "many few", "0 0", "1024 65535", "1030 65535"])
def test_a_range_that_says_nothing_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    said = tmp_path / "range"
    said.write_text(words)
    monkeypatch.setattr(ports, "_EPHEMERAL", said)
    assert choose_ports(["one"], {})["one"] > 1023


def test_a_remembered_port_is_kept_while_it_is_free_and_replaced_when_it_is_not() -> None:
    port = choose_ports(["one"], {})["one"]
    assert choose_ports(["one"], {"one": port}) == {"one": port}
    with bind(port):
        assert choose_ports(["one"], {"one": port})["one"] != port
