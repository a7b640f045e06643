import os

import pytest

from nodewise.stack.errors import StackError
from nodewise.stack.ports import bind, choose_ports, is_free, require_free


def test_chosen_ports_are_free_and_differ() -> None:
    chosen = choose_ports([f"p{number}" for number in range(50)], {})
    assert len(set(chosen.values())) == 50
    assert all(is_free(port) for port in chosen.values())


def test_a_remembered_port_is_used_again() -> None:
    first = choose_ports(["api"], {})
    assert choose_ports(["api"], first) == first


def test_a_remembered_port_that_is_taken_is_replaced() -> None:
    with bind(0) as taken:
        port = taken.getsockname()[1]
        assert choose_ports(["api"], {"api": port})["api"] != port


def test_two_names_that_remember_one_port_get_two() -> None:
    port = choose_ports(["x"], {})["x"]
    chosen = choose_ports(["a", "b"], {"a": port, "b": port})
    assert chosen["a"] == port
    assert chosen["b"] != port


def test_a_taken_port_names_its_holder() -> None:
    with bind(0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            StackError, match=rf"port {port} on 127.0.0.1 is taken.*pid {os.getpid()}.*--port"
        ):
            require_free(port)
