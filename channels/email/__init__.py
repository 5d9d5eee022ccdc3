"""Email: in by SMTP, LMTP and IMAP, out through the delivery ledger.

`CHANNEL` is made when it is asked for: the parser's worker processes live in this package too, and need none of it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from channels.port import Channel

    CHANNEL: Channel


def __getattr__(name: str) -> "Channel":
    if name != "CHANNEL":
        raise AttributeError(name)
    from channels.email.channel import CHANNEL

    return CHANNEL
