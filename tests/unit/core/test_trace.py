import pytest

from nodewise.core.model.ids import AttemptKey, RunId, TaskPath
from nodewise.core.model.trace import read_traceparent, trace_id, traceparent_of

RUN = RunId("0af76519-16cd-43dd-8448-eb211c80319c")
TRACE = "0af7651916cd43dd8448eb211c80319c"
GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


def key(path: str, attempt: int = 1) -> AttemptKey:
    return AttemptKey(run_id=RUN, path=TaskPath(path), attempt=attempt)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (GIVEN, GIVEN),
        (f" {GIVEN} ", GIVEN),
        (f"cc{GIVEN[2:]}-what-comes-later", GIVEN),
        (f"{GIVEN}-more", None),
        (f"ff{GIVEN[2:]}", None),
        (GIVEN.upper(), None),
        (GIVEN.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32), None),
        (GIVEN.replace("00f067aa0ba902b7", "0" * 16), None),
        (GIVEN[:-1], None),
        ("", None),
        (None, None),
    ],
)
def test_a_traceparent_is_read_as_w3c_has_it(text: str | None, read: str | None) -> None:
    assert read_traceparent(text) == read


def test_a_run_is_a_trace_of_its_own_or_a_part_of_its_submitters() -> None:
    assert trace_id(RUN, None) == TRACE
    assert trace_id(RUN, GIVEN) == GIVEN[3:35]


def test_each_attempt_hands_on_the_trace_with_a_span_of_its_own() -> None:
    keys = [key("a"), key("b"), key("a", 2)]
    own = [traceparent_of(one, None) for one in keys]
    assert [read_traceparent(one) for one in own] == own
    assert {one[3:35] for one in own} == {TRACE}
    assert len({one[36:52] for one in own}) == 3
    assert {one[-2:] for one in own} == {"01"}
    given = traceparent_of(key("a"), GIVEN)
    assert (given[3:35], given[36:52], given[-2:]) == (GIVEN[3:35], own[0][36:52], "00")
    assert traceparent_of(key("a"), None) == own[0]
