from datetime import UTC, datetime

import pytest

from bus.dead_letters import dead_letter, needs_blob, outgoing, whole_letter
from bus.records import Record
from bus.topics import DEAD_LETTERS, INTERACTIONS
from schemas import cloudevents
from schemas.codec import decode
from schemas.dead_letter import DeadLetter

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def record(**changes: object) -> Record:
    fields: dict[str, object] = {
        "topic": INTERACTIONS,
        "partition": 3,
        "offset": 17,
        "key": b"conv-1",
        "value": b"\xff\x00{",
        "headers": cloudevents.attributes(id_="int-1", type_="x.v9"),
        "timestamp": 0,
    }
    return Record(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_dead_letter_keeps_bytes_headers_reason_and_place() -> None:
    out = outgoing(dead_letter(record(), "unknown_type", "no x.v9", at=NOW))
    assert (out.topic, out.key) == (DEAD_LETTERS, "conv-1")
    letter = decode(out.headers, out.value)
    assert isinstance(letter, DeadLetter)
    assert (letter.id, letter.interaction_id, letter.reason, letter.detail) == (
        *(f"int-1:{letter.id.partition(':')[2]}", "int-1"),
        *("unknown_type", "no x.v9"),
    )
    assert (letter.place.topic, letter.place.partition, letter.place.offset) == (INTERACTIONS, 3, 17)
    assert letter.raw == b"\xff\x00{"
    assert letter.headers == record().headers


@pytest.mark.parametrize(
    "hostile",
    [
        {"key": None, "headers": (), "value": None},
        {"key": b"\xff\xfe", "headers": (("ce_id", b"\xff"), ("", b""))},
        {"key": b"", "value": b"", "headers": (("\udcff".encode("utf-8", "replace").decode(), b"\x00"),)},
        {"topic": "replies"},
    ],
)
def test_any_record_can_be_set_aside(hostile: dict[str, object]) -> None:
    out = outgoing(dead_letter(record(**hostile), "undecodable", "why", at=NOW))
    letter = decode(out.headers, out.value)
    assert isinstance(letter, DeadLetter)
    place = f"{hostile.get('topic', INTERACTIONS)}:3:17"
    assert letter.id.startswith(f"{place}:")
    assert letter.conversation_id == (letter.id if "key" in hostile else "conv-1")
    assert letter.interaction_id is None


def test_large_bytes_travel_by_reference() -> None:
    big = record(value=b"x" * 65_537)
    assert needs_blob(big)
    assert not needs_blob(record())
    with pytest.raises(AssertionError):
        dead_letter(big, "too_large", "", at=NOW)
    letter = dead_letter(big, "too_large", "", at=NOW, dataref="blob:1")
    assert (letter.raw, letter.dataref) == (None, "blob:1")
    assert len(outgoing(letter).value) < 10_000


def test_two_large_records_at_one_place_are_two_dead_letters_with_their_bytes() -> None:
    """A broker that came back empty counts its offsets from 0 again: only the bytes tell the records apart."""
    one, two = (
        whole_letter(record(value=byte * 100_000, headers=()), "undecodable", "why", at=NOW) for byte in (b"a", b"b")
    )
    assert one.id != two.id
    assert (one.raw, two.raw) == (b"a" * 100_000, b"b" * 100_000)
    assert one.dataref is None
