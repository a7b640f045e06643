import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.core.errors import StoreError
from nodewise.core.model.ids import AttemptKey, RunId, TaskPath
from nodewise.core.store.addresses import key_path, log_key, parse_uri, safe_segment

SEGMENTS = st.text(min_size=1, max_size=300)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "store://file/",
        "store://file/" + "a" * 63,
        "store://file/" + "A" * 64,
        "store://file/" + "a" * 64 + "\n",
        "store://other/" + "a" * 64,
        "store://file/../../etc/passwd",
        "file:///etc/passwd",
    ],
)
def test_what_is_no_address_is_refused(uri: str) -> None:
    with pytest.raises(StoreError):
        parse_uri(uri)


@given(SEGMENTS)
def test_a_segment_is_a_plain_file_name(text: str) -> None:
    name = safe_segment(text)
    assert "/" not in name
    assert not name.startswith(".")
    assert name.isascii()
    assert len(name) <= 200


@given(SEGMENTS, SEGMENTS)
def test_different_segments_have_different_names(one: str, other: str) -> None:
    assert (safe_segment(one) == safe_segment(other)) == (one == other)


def test_long_segments_that_begin_alike_stay_apart() -> None:
    assert safe_segment("x" * 300 + "a") != safe_segment("x" * 300 + "b")


def test_a_key_cannot_climb() -> None:
    assert ".." not in key_path("logs/../../etc/passwd").split("/")


@pytest.mark.parametrize("key", ["", "/a", "a//b", "a/"])
def test_empty_segments_are_refused(key: str) -> None:
    with pytest.raises(StoreError):
        key_path(key)


def test_log_keys_of_nested_tasks_stay_apart() -> None:
    nested = AttemptKey(run_id=RunId("r"), path=TaskPath("a/1.txt"), attempt=2)
    plain = AttemptKey(run_id=RunId("r"), path=TaskPath("loop[0].train"), attempt=1)
    assert log_key(nested) == "logs/r/a%2F1.txt/2.txt"
    assert log_key(plain) == "logs/r/loop[0].train/1.txt"
