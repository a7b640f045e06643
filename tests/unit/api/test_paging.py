"""Cursors."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodewise.api.paging import decode_cursor, encode_cursor
from nodewise.api.problems import Problem


@given(
    moment=st.datetimes(timezones=st.just(UTC)).filter(lambda moment: moment.year > 1900), run_id=st.uuids()
)
def test_a_cursor_leads_back_to_its_place(moment: datetime, run_id: object) -> None:
    assert decode_cursor(encode_cursor(moment, str(run_id))) == (moment, str(run_id))


def test_the_zone_is_kept() -> None:
    moment = datetime(2030, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    found, _ = decode_cursor(encode_cursor(moment, "0b8d5a0e-6a1f-4c1e-9d53-2f6f6f1c7a11"))
    assert found == moment


@given(text=st.text(max_size=100))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(Problem) as refused:
        decode_cursor(text)
    assert refused.value.status == 422
