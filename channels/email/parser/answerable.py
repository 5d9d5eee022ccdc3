"""May a machine answer this mail? Every check that says no is named. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from channels.email.parser.automatic import is_daemon, is_no_reply
from channels.email.parser.fields import untagged
from channels.email.parser.mail import Mail

MAX_AGE = timedelta(hours=24)
CHECKS = (
    "automatic", "suppressed", "null_return_path", "no_reply_address", "own_address", "not_addressed_to_us",
    "unknown_sender", "auth_failed", "encrypted", "too_old", "unparsed",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answerable:
    to: str | None
    """Whom an answer would go to: the sender, never an unproven Reply-To."""
    because: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.because


def answerable(
    mail: Mail,
    *,
    assume_verified: bool = False,
    account: bool = False,
    arrived: datetime | None = None,
    now: datetime | None = None,
    fixed_for_unknown: bool = False,
    max_age: timedelta = MAX_AGE,
    customer: str = "",
) -> Answerable:
    """`account`: whether the mail is looked at for a configured account, whose addresses and clock then count.
    `fixed_for_unknown`: a fixed text may go to senders of whom nothing is proved (`auto_answer.unknown: fixed`).
    `customer`: who wrote what a colleague forwards; nothing is proved of them."""
    address = customer or (mail.people.sender[1] if mail.people.sender else "")
    known = mail.known
    own = {each.lower() for each in (*known.own_addresses, *known.own_lists, *known.trusted_forms)}
    no_reply = not address or is_no_reply(address) or is_daemon(address)
    verdict = "unknown" if customer else mail.auth.verdict
    failing = {
        "automatic": mail.automatic.kind != "none",
        "suppressed": mail.automatic.suppressed,
        # A form relay sends as it likes: the customer is not its return path.
        "null_return_path": mail.people.envelope_from == "" and mail.people.via != "trusted_form",
        "no_reply_address": no_reply,
        "own_address": bool({address.lower(), untagged(address.lower())} & own),
        "not_addressed_to_us": account and not addressed_to(mail),
        "unknown_sender": verdict == "unknown" and not assume_verified and not fixed_for_unknown,
        "auth_failed": verdict == "failed" and not assume_verified,
        "encrypted": mail.sealed,
        "too_old": bool(account and arrived and now and now - arrived > max_age),
        "unparsed": False,
    }
    return Answerable(None if no_reply else address, tuple(name for name in CHECKS if failing[name]))


def addressed_to(mail: Mail) -> bool:
    """Whether one of our addresses is a recipient, with or without a `+detail` (RFC 3834 §2: who is in nobody's To, Cc
    or envelope answers nothing by machine)."""
    people, own = mail.people, {each.lower() for each in mail.known.own_addresses}
    lists = {each.lower() for each in mail.known.own_lists}
    named = {*(a for _, a in people.to), *(a for _, a in people.cc), *people.delivered_to, *mail.known.envelope_to}
    return bool((own | lists) & {*named, *map(untagged, named)})
