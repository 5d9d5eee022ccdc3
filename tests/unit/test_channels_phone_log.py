"""Call log rows: every byte of a file ends in a call or in a row that is set aside, and a bad row spoils no other."""

import csv
import io
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.phone_log import parse as parse_
from channels.phone_log.parse import BadRow, GoodRow, e164, parse_rows
from schemas import limits
from schemas.interaction import Contact, PhoneLogContent
from tests.kit.contacts import NOW

HEAD = b"call_id,started_at,caller,notes\n"


def read(data: bytes, delimiter: str = ",") -> list[GoodRow | BadRow]:
    return list(parse_rows(data, account="calls", region="DE", delimiter=delimiter, queue=None, now=NOW))


def row(n: int, notes: str = "") -> bytes:
    return f"c{n},2026-03-04T09:00:00Z,+4930901820,{notes}\n".encode()


def notes(found: list[GoodRow | BadRow]) -> list[str]:
    return [r.contact.text for r in found if isinstance(r, GoodRow)]


def test_a_call() -> None:
    (found,) = read(HEAD + row(1, "please call back"))
    assert isinstance(found, GoodRow)
    content = found.contact.content
    assert isinstance(content, PhoneLogContent)
    assert (content.call_id, content.caller, found.contact.native_id) == ("c1", "+4930901820", "c1")
    assert found.contact.sender.verdict == "unknown"
    assert found.contact.received_at == datetime(2026, 3, 4, 9, tzinfo=UTC)


def test_columns_come_in_any_order_and_may_be_missing_but_two() -> None:
    (found,) = read(b"\xef\xbb\xbfCaller;STARTED_AT\r\n030 901820;2026-03-04T09:00:00+01:00\r\n", ";")
    assert isinstance(found, GoodRow)
    assert found.contact.sender.address == "+4930901820"
    assert found.contact.received_at == datetime(2026, 3, 4, 8, tzinfo=UTC)
    assert found.contact.native_id.startswith("digest:")


def test_a_call_that_has_not_happened_yet_is_now() -> None:
    later = (NOW + timedelta(days=400)).isoformat().encode()
    (found,) = read(b"started_at,caller\n" + later + b",+4930901820\n")
    assert isinstance(found, GoodRow)
    assert found.contact.received_at == NOW


@pytest.mark.parametrize(
    "bad",
    [
        b"c,yesterday,+4930901820,x",
        b"c,2026-03-04T09:00:00Z,nobody,x",
        b"c,2026-03-04T09:00:00Z,+4930901820,\xff",
        b"c,2026-03-04T09:00:00Z,+4930901820,\x00",
        b'c,2026-03-04T09:00:00Z,+4930901820,"never closed',
        b'c,2026-03-04T09:00:00Z,+4930901820,"closed" early',
        b"c" * 2000 + b",2026-03-04T09:00:00Z,+4930901820,x",
        b"c,0001-01-01T00:00:00+14:00,+4930901820,x",
        b"x" * (limits.CSV_ROW_BYTES + 1),
    ],
    ids=range(9),
)
def test_a_bad_row_is_set_aside_alone(bad: bytes) -> None:
    one, spoiled, two = read(HEAD + row(1) + bad + b"\n" + row(2))
    assert isinstance(one, GoodRow)
    assert isinstance(two, GoodRow)
    assert isinstance(spoiled, BadRow)
    assert (spoiled.line, spoiled.raw) == (3, bad)
    assert spoiled.detail


def test_a_quoted_field_may_hold_lines_delimiters_and_quotes() -> None:
    text = 'first\nsecond, "third"'
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(["c1", "2026-03-04T09:00:00Z", "+4930901820", text])
    found = read(HEAD + out.getvalue().encode() + row(2, "after"))
    assert notes(found) == [text, "after"]


def test_a_quote_within_an_unquoted_field_is_a_character() -> None:
    assert notes(read(HEAD + row(1, '5" pipe') + row(2, "after"))) == ['5" pipe', "after"]


def test_odd_line_ends_within_a_field_do_not_split_the_row() -> None:
    assert len(notes(read(HEAD + row(1, "a\u2028b\u0085c\x0bd") + row(2, "after")))) == 2


def test_more_cells_than_columns_are_taken_and_say_so() -> None:
    (found,) = read(HEAD + row(1, "with, a comma"))
    assert isinstance(found, GoodRow)
    assert found.contact.flags == ("partial",)


@pytest.mark.parametrize("data", [b"a,b\n1,2\n3,4\n", b"\xff\xfe\n1,2\n", row(1) + row(2)])
def test_a_file_without_column_names_is_set_aside_as_a_whole(data: bytes) -> None:
    (found,) = read(data)
    assert isinstance(found, BadRow)
    assert found.raw == data
    assert "must name the columns" in found.detail


def test_what_is_beyond_the_row_limit_is_set_aside_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CSV_ROWS", 3)
    found = read(b"\xef\xbb\xbf" + HEAD + row(1) + row(2) + row(3) + row(4))
    assert len(notes(found)) == 2
    assert found[-1].raw == row(3) + row(4)


@settings(max_examples=200)
@given(st.lists(st.text(alphabet='ab",;\n\r', max_size=12) | st.text(max_size=12), max_size=12))
def test_every_byte_is_in_a_row_and_rows_are_split_as_csv_splits_them(cells: list[str]) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    for cell in cells:
        writer.writerow(["x", cell])
    data = out.getvalue().encode("utf-8", "replace")
    records = [raw for _, raw in parse_._records(data, ord(","))]
    assert b"".join(records) == data
    assert len(records) == len(cells)


@settings(max_examples=200)
@given(st.binary(max_size=500))
def test_any_bytes_give_rows(data: bytes) -> None:
    for found in (*read(data), *read(HEAD + data)):
        if isinstance(found, GoodRow):
            Contact.model_validate_json(found.contact.model_dump_json())


def test_quotes_that_are_never_closed_cost_no_hour() -> None:
    data = HEAD + b'a","\n' * 200_000
    before = time.perf_counter()
    assert all(isinstance(found, BadRow) for found in read(data))
    assert time.perf_counter() - before < 15


@pytest.mark.parametrize("number", ["", "nobody", "1", "+" * 100, "0" * 1000, "\x00", "tel:+4930;ext=1" * 50])
def test_what_is_no_number(number: str) -> None:
    assert e164(number, "DE") is None
