"""Ids, states, texts, durations, the codec's edges and the CloudEvents binding."""

import dataclasses
import uuid
from datetime import timedelta

import orjson
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
from hypothesis import given
from hypothesis import strategies as st

from schemas import ids, states, text
from schemas.codec import Invalid, decode, encode, loads_strict, too_deep
from schemas.digest import contact_digest
from schemas.durations import format_duration, parse_duration
from schemas.events import TOPIC_OF, event_id, event_key
from schemas.interaction import Interaction
from tests.kit.contacts import NOW, chat, email, web_form
from tests.kit.events import examples

EXAMPLES = examples()


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_event_survives_the_wire(name: str) -> None:
    event = EXAMPLES[name]
    encoded = encode(event)
    again = decode(encoded.headers, encoded.value)
    assert again == event
    assert encoded.key == event_key(event)
    assert TOPIC_OF[event.TYPE]


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_records_are_cloudevents_to_the_official_sdk(name: str) -> None:
    event = EXAMPLES[name]
    encoded = encode(event)
    headers = {key: value for key, value in encoded.headers if key != "traceparent"}
    read = from_binary_event(KafkaMessage(headers=headers, key=encoded.key, value=encoded.value))
    assert read.get_id() == event_id(event)
    assert read.get_type() == event.TYPE
    assert read.get_source() == "/switchboard"
    assert read.get_datacontenttype() == "application/json"
    assert read.get_data() == orjson.loads(encoded.value)


@given(st.binary(max_size=300), st.lists(st.tuples(st.text(max_size=12), st.binary(max_size=30)), max_size=6))
def test_decoding_never_raises(value: bytes, headers: list[tuple[str, bytes]]) -> None:
    decode(headers, value)
    for event in (EXAMPLES["interaction-email"], EXAMPLES["decision"]):
        assert isinstance(decode(encode(event).headers, value), Invalid)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)
    )
)
def test_decoding_any_json_never_raises(value: object) -> None:
    try:
        data = orjson.dumps(value)
    except orjson.JSONEncodeError:
        return
    decode(encode(EXAMPLES["reply"]).headers, data)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "undecodable"),
        (b"\xff", "undecodable"),
        (b"[" * 100_000, "undecodable"),
        (b"{}", "invalid"),
        (b'{"id": 7}', "invalid"),
        (b"x" * 1_000_001, "too_large"),
    ],
)
def test_what_is_no_event_says_why(value: bytes | None, reason: str) -> None:
    found = decode(encode(EXAMPLES["interaction-chat"]).headers, value)
    assert isinstance(found, Invalid)
    assert found.reason == reason
    assert found.detail


def test_an_unknown_type_or_version_is_told_apart() -> None:
    encoded = encode(EXAMPLES["decision"])
    headers = [(k, v.replace(b".v1", b".v9") if k == "ce_type" else v) for k, v in encoded.headers]
    found = decode(headers, encoded.value)
    assert found == Invalid("unknown_type", "no event of type 'switchboard.decision.made.v9' is known here")


@pytest.mark.parametrize("missing", ["ce_id", "ce_type", "ce_source", "ce_specversion"])
def test_a_record_without_its_attributes_is_undecodable(missing: str) -> None:
    encoded = encode(EXAMPLES["decision"])
    found = decode([(k, v) for k, v in encoded.headers if k != missing], encoded.value)
    assert isinstance(found, Invalid)
    assert missing in found.detail


def test_strict_json_from_outside() -> None:
    assert loads_strict(b'{"a": [1]}') == {"a": [1]}
    for bad in (b"NaN", b"[1,]", b"{", b'"\\ud800"', b"\xff", b"[" * 33 + b"]" * 33, b" " * 2_000_000):
        assert isinstance(loads_strict(bad), Invalid), bad[:20]
    assert not too_deep(b'"' + b"[" * 100 + b'"')


class TestIds:
    def test_ids_are_the_same_everywhere_and_for_ever(self) -> None:
        assert ids.interaction_id("email", "support", "m1@example.org") == "ca51810d-1008-5e3e-8879-5c5554c0617b"
        in_words = "11:interaction5:email7:support14:m1@example.org"
        assert ids.interaction_id("email", "support", "m1@example.org") == str(uuid.uuid5(ids.NAMESPACE, in_words))
        assert ids.decision_id("i", 2) == "i:decision:2"
        assert ids.auto_reply_id("i", 1) == "i:answer:1"

    def test_parts_do_not_run_into_each_other(self) -> None:
        assert ids.interaction_id("email", "a", "bc") != ids.interaction_id("email", "ab", "c")

    def test_the_same_mail_in_two_mailboxes_has_one_dedupe_key_and_a_chat_line_has_not(self) -> None:
        assert ids.dedupe_key("email", "a", "m", "d") == ids.dedupe_key("email", "b", "m", "d")
        assert ids.dedupe_key("chat", "a", "m", "d") != ids.dedupe_key("chat", "b", "m", "d")

    def test_an_agents_key_gives_one_reply_per_conversation(self) -> None:
        assert ids.agent_reply_id("c", "k") == ids.agent_reply_id("c", "k")
        assert ids.agent_reply_id("c", "k") != ids.agent_reply_id("d", "k")


class TestDigest:
    def test_transport_leaves_no_trace(self) -> None:
        one = email(headers=(("Received", "by a"),))
        two = email(headers=(("Received", "by b"), ("X-Spam", "no")), account="sales", received_at=NOW + timedelta(1))
        assert contact_digest(one) == contact_digest(two)

    @pytest.mark.parametrize(
        "other",
        [email(text="x"), email(subject="x"), email(sender="bob@example.org"), chat(), web_form()],
        ids=["text", "subject", "sender", "chat", "form"],
    )
    def test_other_content_has_another_digest(self, other: object) -> None:
        assert contact_digest(other) != contact_digest(email())  # type: ignore[arg-type]

    def test_a_field_of_a_form_counts(self) -> None:
        one = web_form()
        fields = one.content.model_copy(update={"fields": {"message": "other"}})
        assert contact_digest(one) != contact_digest(one.model_copy(update={"content": fields}))


@pytest.mark.parametrize(
    ("moves", "kind"),
    [
        (states.INTERACTION_MOVES, states.InteractionState),
        (states.DELIVERY_MOVES, states.DeliveryState),
        (states.WORK_ITEM_MOVES, states.WorkItemState),
    ],
    ids=["interaction", "delivery", "work item"],
)
def test_every_state_is_in_its_table_and_every_one_but_the_first_can_be_reached(moves, kind) -> None:  # type: ignore[no-untyped-def]
    assert set(moves) == set(kind)
    reached = {to for targets in moves.values() for to in targets}
    first = next(iter(kind))
    assert set(kind) - reached <= {first}


def test_an_unknown_delivery_is_never_sent_again_by_machine() -> None:
    known = {states.DeliveryState.SENT, states.DeliveryState.FAILED}  # it arrived, or it came back
    machine = states.DELIVERY_MOVES[states.DeliveryState.UNKNOWN] - known
    assert machine == {states.DeliveryState.PENDING}, "only `deliveries resolve --resend` uses it"
    assert states.DeliveryState.PENDING not in states.DELIVERY_MOVES[states.DeliveryState.ATTEMPTING]


class TestText:
    def test_a_decoded_subject_cannot_split_a_header(self) -> None:
        contact = email(subject="Hi\r\nBcc: all@example.org\x00\u2028x")
        assert contact.subject == "Hi Bcc: all@example.org x"

    def test_lone_surrogates_and_nul_do_not_get_in(self) -> None:
        contact = chat("a\ud800b\x00c\r\nd")
        assert contact.text == "a\ufffdbc\nd"
        contact.model_dump_json().encode("utf-8")

    @given(st.text())
    def test_cleaning_twice_changes_nothing(self, value: str) -> None:
        assert text.clean_text(text.clean_text(value)) == text.clean_text(value)
        assert text.clean_line(text.clean_line(value)) == text.clean_line(value)

    def test_folding(self) -> None:
        assert text.fold("STRASSE") == text.fold("Straße")
        assert text.fold("Café") == "cafe"
        assert text.fold("℡") == "tel"


class TestDurations:
    @pytest.mark.parametrize(
        ("written", "seconds"),
        [("30s", 30), ("5m", 300), ("4h", 14400), ("14d", 1209600), ("1h30m", 5400), ("0.5h", 1800)],
    )
    def test_as_people_write_them(self, written: str, seconds: float) -> None:
        assert parse_duration(written).total_seconds() == seconds

    @pytest.mark.parametrize("bad", ["", "5", "five minutes", "5x", "h", "-5m", 5, None, "5m foo"])
    def test_what_is_none_says_how(self, bad: object) -> None:
        with pytest.raises(ValueError, match="write 30s, 5m, 4h"):
            parse_duration(bad)

    @given(st.integers(0, 10**9))
    def test_what_is_printed_is_read_back(self, milliseconds: int) -> None:
        value = timedelta(milliseconds=milliseconds)
        assert parse_duration(format_duration(value)) == value


def test_the_round_is_part_of_an_interactions_event_id() -> None:
    interaction = EXAMPLES["interaction-email"]
    assert isinstance(interaction, Interaction)
    assert event_id(interaction.model_copy(update={"round": 2})) == f"{interaction.id}:round:2"
    assert dataclasses.is_dataclass(encode(interaction))
