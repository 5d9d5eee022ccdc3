"""A draft over what was recorded."""

from switchboard.dry_run import compare
from tests.kit.policies import policy


def test_a_row_that_cannot_be_read_hides_none_of_the_others() -> None:
    source = policy("- {name: r, queue: general}").source.to_json()
    found = compare(source, source, [(b"{}", b"{}"), (b"\xff", b"")])
    assert (found.looked_at, found.unread, found.changed) == (2, 2, 0)
    whole = compare(source, source, [])
    whole.add(found)
    assert whole.as_json()["unread"] == 2
