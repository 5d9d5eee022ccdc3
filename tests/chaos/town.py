"""Where the customers of a chaos run live: how they reach the shop, their mail server, and what they remember."""

import asyncio
import email
import email.policy
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.kit.history import Call, History
from tests.kit.smtp_sink import SmtpSink


@dataclass
class Town:
    """`http`, `desks`: addresses of the shop's pages and of its desk; `smtp`: ports of its doors. Whoever calls picks
    one by chance, as behind a load balancer."""

    history: History
    http: Sequence[str]
    desks: Sequence[str]
    smtp: Sequence[int]
    calls: Path
    mail: "MailServer"
    accepted: Counter[str] = field(default_factory=Counter)
    """Contacts that were acknowledged, by id."""
    sessions: dict[str, str] = field(default_factory=dict)
    """Customer → their chat session's token."""
    pages: dict[str, str] = field(default_factory=dict)
    """Customer → the path of their status page."""
    claims: int = 0
    written: asyncio.Event = field(default_factory=asyncio.Event)
    """Everybody has written all that they had to."""

    def door(self, dice: random.Random) -> str:
        return dice.choice(self.http)

    def taken(self, call: Call, id_: str, **told: object) -> None:
        self.accepted[id_] += 1
        call.ok(**told)


class MailServer(SmtpSink):
    """The customers' mail server: it writes each mail's arrival into the history."""

    def __init__(self, history: History) -> None:
        super().__init__()
        self.mails = _Arrivals(self)  # type: ignore[assignment]
        self.history = history
        self.boxes: dict[str, list[str]] = defaultdict(list)
        """Customer → Message-IDs of people's answers, as they came."""

    def arrived(self, recipient: str, raw: bytes) -> None:
        mail = email.message_from_bytes(raw, policy=email.policy.default)
        who = recipient.partition("@")[0]
        body = mail.get_body(("plain",))
        id_ = str(mail["Message-ID"]).strip("<> ")
        automatic = mail["Auto-Submitted"] is not None
        self.history.note(
            who,
            "see",
            "ok",
            id_,
            via="mail",
            automatic=automatic,
            text=body.get_content().strip() if body else "",
            in_reply_to=str(mail["In-Reply-To"] or "").strip("<> "),
        )
        if not automatic:
            self.boxes[who].append(id_)


class _Arrivals:
    """Stands where the sink keeps its mails."""

    def __init__(self, server: MailServer) -> None:
        self._server = server

    def append(self, mail: tuple[str, list[str], bytes]) -> None:
        for recipient in mail[1]:
            self._server.arrived(recipient, mail[2])
