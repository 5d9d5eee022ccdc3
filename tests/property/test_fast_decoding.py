"""Both ways to read an interaction or a decision agree on all bytes; both ways to write a decision write the same."""

import json
from copy import deepcopy
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas import codec, fast, structs
from schemas.cloudevents import attributes
from schemas.codec import Invalid
from schemas.decision import ActionTrace, Answer, Decision, Facts, Failed, RuleTrace
from schemas.interaction import Interaction
from schemas.limits import RECORD_BYTES
from tests.kit.events import examples
from tests.kit.policies import accepted

EXAMPLES = [event for name, event in sorted(examples().items()) if isinstance(event, Interaction)]
EMAIL: Any = examples()["interaction-email"]
DECISION: Any = examples()["decision"]
HEADERS = attributes(id_="i1", type_=Interaction.TYPE, subject="c1")
DECISION_HEADERS = attributes(id_="d1", type_=Decision.TYPE, subject="c1")
FINER = "2026-03-04T10:00:00.1234567Z"

# What pydantic takes, changes or refuses, and what one reader may take for something else than the other.
# fmt: off
ODD_TEXTS = st.sampled_from([
    "", " ", "x ", " x", "\u00a0x", "x\u3000", "a\nb", "a\tb", "a\r\nb", "\x00", "\x1f", "\x7f", "\x85", "\u2028",
    "\ud800", "\U0001f600", "\\u0041", "\\n", '"', ": ", '," ', "5", "true", "email", "fax", "x" * 400, "é" * 330,
])
MOMENTS = st.sampled_from([
    "2026-03-04T10:00:00Z", "2026-03-04T10:00:00.123456Z", "2026-03-04T10:00:00.1234567Z", "2026-03-04t10:00:00z",
    "2026-03-04T10:00:00.9999999Z", "2026-03-04 10:00:00+00:00", "2026-03-04T12:00:00+02:00", "2026-03-04T10:00Z",
    "2026-03-04T10:00:00", "2026-03-04", "1772618400", "2026-02-30T10:00:00Z", "2026-03-04T24:00:00Z",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999Z", "2026-03-04T10:00:60Z", "2026-03-04T10:00:00-00:00",
])
# fmt: on
NUMBERS = st.sampled_from([0, 1, -1, 5, 5.0, 5.5, 1e300, -0.0, 2**63, 2**64, 10**30, 1772618400, float("nan")])
VALUES = st.one_of(
    ODD_TEXTS,
    MOMENTS,
    NUMBERS,
    st.none(),
    st.booleans(),
    st.text(max_size=20),
    st.lists(ODD_TEXTS, max_size=3),
    st.dictionaries(ODD_TEXTS, ODD_TEXTS, max_size=3),
    st.just([["From", "a"], ["To"]]),
    st.just([["From", "a"], ["To ", "b"]]),
    st.just({"channel": "chat", "session_id": "s", "client_message_id": "1"}),
    st.just({"kind": "email", "address": "A@b", "verdict": "verified"}),
)


def places(tree: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in a document."""
    items: Any = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path for key, value in items for path in ((*at, key), *places(value, (*at, key)))]


@st.composite
def documents(draw: st.DrawFn, of: Any = EXAMPLES) -> bytes:
    """An event's JSON, changed in some places, written in one of the ways there are to write it."""
    tree = json.loads(draw(st.sampled_from(of)).model_dump_json())
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(places(tree)))
        parent = tree
        for key in path[:-1]:
            parent = parent[key]
        match draw(st.sampled_from(["set", "set", "delete", "add"])):
            case "set":
                parent[path[-1]] = deepcopy(draw(VALUES))
            case "delete":
                del parent[path[-1]]
            case _ if isinstance(parent, dict):
                parent[draw(st.sampled_from(["unknown", "text", "id", " seq"]))] = deepcopy(draw(VALUES))
    compact = draw(st.booleans())
    text = json.dumps(tree, ensure_ascii=draw(st.booleans()), separators=(",", ":") if compact else None)
    if draw(st.integers(0, 9)) == 0:  # a key twice
        text = text[:-1] + ',"seq":' + json.dumps(draw(VALUES)) + "}"
    data = text.encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 4)) == 0:
        at = draw(st.integers(0, len(data) - 1))
        data = data[:at] + draw(st.binary(max_size=2)) + data[at + draw(st.integers(0, 2)) :]
    return data


def changed(event: Interaction | Decision, value: Any, *path: Any) -> bytes:
    """The event's JSON with another value in one place."""
    tree = json.loads(event.model_dump_json())
    parent = tree
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    return json.dumps(tree, ensure_ascii=False).encode("utf-8", "surrogatepass")


def padded(event: Interaction | Decision, size: int) -> bytes:
    value = event.model_dump_json().encode()
    return value + b" " * (size - len(value))


def agree(headers: tuple[tuple[str, bytes], ...], value: bytes | None) -> None:
    ours, theirs = fast.decode_interaction(headers, value), codec.decode(headers, value)
    if isinstance(theirs, Interaction):
        assert not isinstance(ours, Invalid), ours
        assert msgspec.json.encode(ours) == theirs.model_dump_json().encode()
        assert ours == fast.as_struct(theirs)
    elif isinstance(theirs, Invalid):
        assert ours == theirs
    else:
        assert isinstance(ours, Invalid)
        assert ours.reason == "invalid"


def agree_on_decision(value: bytes) -> None:
    ours, theirs = fast.decode_applicable(DECISION_HEADERS, value), codec.decode(DECISION_HEADERS, value)
    if isinstance(theirs, Decision):
        assert isinstance(ours, structs.Decision), ours
        # As values: 1e300 may be written 1e+300.
        assert json.loads(fast.body_of(ours)) == json.loads(theirs.model_dump_json())
    else:
        assert ours == theirs


# The examples: one for each guard of the short way that drawn documents seldom meet in a place where it matters.
@settings(max_examples=1500, deadline=None)
@given(documents())
@example(changed(EXAMPLES[0], "x\x7fz", "text"))
@example(changed(EXAMPLES[0], {"order": "12\x7f34"}, "attributes"))
@example(changed(EMAIL, "x\x7fz", "content", "new_text"))
@example(changed(EXAMPLES[0], FINER, "received_at"))
@example(changed(EXAMPLES[0], FINER, "accepted_at"))
@example(padded(EXAMPLES[0], RECORD_BYTES + 1))
def test_both_readers_agree_on_valid_and_invalid_documents(value: bytes) -> None:
    agree(HEADERS, value)


@settings(max_examples=1000, deadline=None)
@given(documents([DECISION]))
@example(changed(DECISION, "x\x7fz", "answer", "text"))
@example(changed(DECISION, FINER, "decided_at"))
@example(changed(DECISION, FINER, "deadline"))
@example(padded(DECISION, RECORD_BYTES + 1))
def test_both_readers_agree_on_decisions(value: bytes) -> None:
    agree_on_decision(value)


@pytest.mark.parametrize("odd", ["x\x7fz", FINER, "2026-03-04T10:00:00.00000051Z", "2026-03-04T10:00:00.9999999Z"])
@pytest.mark.parametrize("event", [*EXAMPLES, DECISION], ids=lambda event: event.id)
def test_both_readers_agree_on_what_one_of_them_would_change_wherever_it_stands(
    event: Interaction | Decision, odd: str
) -> None:
    """Body text without its DEL; a moment that is cut to microseconds where the other reader rounds it."""
    for path in places(json.loads(event.model_dump_json())):
        value = changed(event, odd, *path)
        if isinstance(event, Decision):
            agree_on_decision(value)
        else:
            agree(HEADERS, value)


@pytest.mark.parametrize("size", [RECORD_BYTES, RECORD_BYTES + 1])
def test_both_readers_agree_on_how_large_an_event_may_be(size: int) -> None:
    """Of documents that are right but for their size."""
    for event in EXAMPLES:
        agree(HEADERS, padded(event, size))
    agree_on_decision(padded(DECISION, size))


HEADER_VALUES = st.one_of(
    st.sampled_from([b"1.0", b"0.3", b"", b"application/json", b"application/json; charset=utf-8", b"text/plain"]),
    st.sampled_from([Interaction.TYPE.encode(), Decision.TYPE.encode(), b"other", b"\xff", "é".encode()]),
    st.just(None),
)
NAMES = st.sampled_from([name for name, _ in HEADERS] + ["CE_Type", "ce_ID", "Content-Type", "x", "traceparent"])


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(NAMES, HEADER_VALUES), max_size=2), st.sets(NAMES, max_size=2), st.booleans())
def test_both_readers_agree_on_headers(more: Any, without: set[str], first: bool) -> None:
    kept = tuple(pair for pair in HEADERS if pair[0] not in without)
    agree((*more, *kept) if first else (*kept, *more), EXAMPLES[0].model_dump_json().encode())


@given(st.binary(max_size=40))
@example(b"")
@example(b"[" * 50_000)
@example(b'{"x":' * 50_000)
@example(b"null")
def test_both_readers_agree_on_bytes(value: bytes) -> None:
    agree(HEADERS, value)
    agree(HEADERS, None)


@pytest.mark.parametrize("more", [b"1" * 4301, b"[" * 250 + b"]" * 250, b"[" * 100 + b"]" * 100, b"1" * 4300])
def test_both_readers_agree_on_what_nobody_asks_for(more: bytes) -> None:
    """The short way passed over numbers and brackets that are too many for the other one."""
    value = codec.encode(EXAMPLES[0]).value
    agree(HEADERS, value[:-1] + b',"unknown":' + more + b"}")


def test_what_our_own_encoder_writes_is_read_the_short_way() -> None:
    for event in (*EXAMPLES, accepted(subject="Grüße, 注文", text="Hallo\n\tda! “x”\n")):
        encoded = codec.encode(event)
        assert fast._interactions.read(encoded.headers, encoded.value) is not None
    encoded = codec.encode(DECISION)
    assert fast._decisions.read(encoded.headers, encoded.value) is not None


def test_a_moment_before_the_first_year_in_utc_is_invalid_and_raises_nothing() -> None:
    early = EXAMPLES[0].model_dump_json().replace("2026-03-04T10:00:00Z", "0001-01-01T00:00:00+14:00").encode()
    assert isinstance(codec.decode(HEADERS, early), Invalid)
    agree(HEADERS, early)


def test_too_large_is_told_by_both() -> None:
    agree(HEADERS, b'{"text":"' + b"x" * 1_000_000 + b'"}')


TEXTS = st.one_of(
    ODD_TEXTS.filter(lambda text: "\ud800" not in text), st.text(st.characters(codec="utf-8"), max_size=20)
)
ANY = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), TEXTS, st.lists(TEXTS, max_size=3))
FLAT = {"target_s": st.floats(0, 1e9), "answer": st.builds(Answer, rule=TEXTS, template=TEXTS, text=TEXTS, html=TEXTS)}
RULES = st.builds(
    RuleTrace,
    name=TEXTS,
    order=st.integers(-1000, 1000),
    result=st.sampled_from(["fired", "failed", "after_stop"]),
    failed=st.none() | st.builds(Failed, path=TEXTS, field=TEXTS, operator=TEXTS, expected=ANY, actual=ANY),
    actions=st.lists(st.builds(ActionTrace, kind=TEXTS, value=ANY), max_size=2).map(tuple),
)


@settings(max_examples=300, deadline=None)
@given(
    st.fixed_dictionaries({}, optional=FLAT),
    st.lists(RULES, max_size=3).map(tuple),
    st.dictionaries(TEXTS, TEXTS, max_size=3),
    st.builds(Facts, customer_tier=st.none() | TEXTS, contacts_7d=st.integers(0, 99)),
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.sampled_from([None, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"]),
)
def test_both_writers_write_the_same(
    flat: Any, rules: Any, names: Any, facts: Facts, at: str, trace: str | None
) -> None:
    known = DECISION.model_dump()
    more = {"rules": rules, "attributes": names, "facts": facts, "decided_at": at, "traceparent": trace}
    decision = Decision(**{**known, **flat, **more})
    encoded = codec.encode(decision)
    struct = msgspec.convert(decision.model_dump(), structs.Decision)
    assert fast.encode_decision(struct) == (encoded.key, encoded.headers, encoded.value)
    assert fast.as_model(struct) == decision
