"""What may be committed: the bookkeeping under the Faust host."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.hosts.spans import Span, Spans

P = ("interactions", 0)
Q = ("interactions", 1)


@dataclass
class R:
    offset: int


def records(first: int, last: int) -> list[R]:
    return [R(offset) for offset in range(first, last + 1)]


def done(spans: Spans[R], span: Span[R]) -> bool:
    span.done = True
    return spans.ack(span)


def test_offsets_move_over_what_is_done_from_the_first_on() -> None:
    spans: Spans[R] = Spans()
    a, b, c = (spans.deliver(P, records(n, n + 9)) for n in (0, 10, 20))
    other = spans.deliver(Q, records(5, 5))
    assert done(spans, b)
    assert spans.committable(P) is None
    assert done(spans, a)
    assert spans.committable(P) == 20
    assert spans.committable(P) is None, "it has been asked for"
    assert done(spans, c)
    assert spans.committable(P) == 30
    assert spans.in_flight == 1
    assert done(spans, other)
    assert spans.committable(Q) == 6
    assert list(spans.places()) == []


def test_the_late_acknowledgement_of_a_lost_batch_commits_nothing() -> None:
    """Two batches in flight, revoked, assigned again, read again as one: the second's late end commits nothing."""
    spans: Spans[R] = Spans()
    spans.deliver(P, records(0, 9))
    second = spans.deliver(P, records(10, 19))
    spans.forget([P])
    again = spans.deliver(P, records(0, 19))
    assert not spans.is_current(second)
    assert not done(spans, second)
    assert spans.committable(P) is None
    assert spans.in_flight == 1
    assert done(spans, again)
    assert spans.committable(P) == 20


def test_what_faust_acknowledges_by_itself_does_not_count() -> None:
    """An event that is skipped in a rebalance is acknowledged although nobody has seen it."""
    spans: Spans[R] = Spans()
    span = spans.deliver(P, records(0, 9))
    assert not spans.ack(span)
    assert spans.committable(P) is None


def test_gaps_in_the_offsets_are_none_of_ours() -> None:
    spans: Spans[R] = Spans()
    spans.deliver(P, [R(3), R(7)])
    with pytest.raises(ValueError, match="delivered before"):
        spans.deliver(P, records(7, 9))
    spans.forget([P])
    first, second = spans.deliver(P, [R(3), R(7)]), spans.deliver(P, [R(12)])
    assert done(spans, first)
    assert done(spans, second)
    assert not spans.ack(second), "once"
    assert spans.committable(P) == 13


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("deliver"), st.integers(1, 3)),
        st.tuples(st.just("ack"), st.integers(0, 20)),
        st.tuples(st.just("commit"), st.just(0)),
        st.tuples(st.just("lost"), st.just(0)),
        st.tuples(st.just("skip"), st.integers(0, 20)),
    ),
    max_size=60,
)


@given(STEPS)
def test_no_offset_is_committed_above_anything_that_is_not_done(steps: Sequence[tuple[str, int]]) -> None:
    """Against a model: the set of offsets that have been done in whatever epoch."""
    spans: Spans[R] = Spans()
    delivered: list[Span[R]] = []
    finished: set[int] = set()
    committed = position = 0
    for step, n in steps:
        match step:
            case "deliver":
                delivered.append(spans.deliver(P, records(position, position + n - 1)))
                position += n
            case "ack" if delivered:
                span = delivered[n % len(delivered)]
                if done(spans, span):
                    finished |= {record.offset for record in span.records}
            case "skip" if delivered:
                span = delivered[n % len(delivered)]
                if not span.done:
                    assert not spans.ack(span)
            case "lost":
                spans.forget([P])
                position = committed  # whoever reads on begins at what is committed
            case "commit":
                offset = spans.committable(P)
                if offset is not None:
                    committed = offset
                    assert finished >= set(range(committed))
    in_work = [span for span in delivered if spans.is_current(span) and not span.acked]
    assert spans.in_flight == len(in_work)
    assert spans.records_in_flight == sum(len(span.records) for span in in_work)
