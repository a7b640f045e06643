"""What agents report always fits into Postgres."""

import json

from hypothesis import given
from hypothesis import strategies as st

from nodewise.recorder.storable import storable, storable_text

_ANY_TEXT = st.text(st.characters())
_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | _ANY_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(_ANY_TEXT, inner),
)


@given(_JSON)
def test_any_value_becomes_json_that_postgres_takes(value: object) -> None:
    written = json.dumps(storable(value), allow_nan=False)
    assert "\\u0000" not in written.replace("\\\\", "")


@given(_ANY_TEXT, st.integers(10, 100))
def test_a_text_is_never_longer_than_its_limit(text: str, limit: int) -> None:
    assert len(storable_text(text, limit)) <= limit


def test_a_plain_value_is_left_as_it_is() -> None:
    value = {"accuracy": 0.93, "labels": ["a", "b"], "n": 3, "ok": True, "none": None}
    assert storable(value) == value


def test_a_long_message_keeps_its_beginning_and_its_end() -> None:
    cut = storable_text("begin" + "x" * 10_000 + "end", 100)
    assert cut.startswith("begin")
    assert cut.endswith("end")


def test_a_lone_surrogate_is_replaced() -> None:
    assert storable("a\ud800b") == "a?b"
