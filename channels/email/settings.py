"""One email account."""

import re
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_address
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import EmailStr, Field, SecretStr, field_validator, model_validator

from channels.email.parser.fields import is_among
from schemas.addresses import wire_address
from schemas.base import Config
from schemas.durations import Duration, parse_duration
from schemas.limits import MAIL_BYTES

_DOMAIN = re.compile(r"(?!-)[a-z0-9-]+(\.[a-z0-9-]+)+")


class SmtpSettings(Config):
    """The relay that takes our mail. Its password comes by environment or `*_FILE`."""

    host: str = Field(min_length=1)
    port: int = Field(default=587, ge=1, le=65535)
    tls: Literal["none", "starttls", "implicit"] = "starttls"
    username: str | None = None
    password: SecretStr | None = None
    oauth: bool = False
    """Sign in by XOAUTH2 with the token of the account's mailbox (`imap.oauth`)."""
    connections: int = Field(default=5, ge=1, le=100)
    domain_connections: int = Field(default=3, ge=1, le=100)
    """At most so many mails at a time to one domain, and one less than `connections`, so that a slow one does not hold
    up the others."""
    domain_per_minute: int = Field(default=600, ge=1, le=100_000)
    ca_file: str | None = None
    """Whom to trust instead of the system's authorities, as a PEM file."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        problems = []
        if self.oauth and self.password is not None:
            problems.append("give either a password or oauth: true")
        if self.password is not None and self.username is None:
            problems.append("a password needs a username")
        if self.tls == "none" and (self.password is not None or self.oauth) and not is_loopback(self.host):
            problems.append("tls: none is for this machine only: no password crosses a network in clear")
        if problems:
            raise ValueError("; ".join(problems))
        return self


class OAuthSettings(Config):
    """Signing in to a mailbox by XOAUTH2. The token is fetched by `switchboard channels login ACCOUNT`."""

    provider: Literal["microsoft", "google", "other"] = "microsoft"
    client_id: str = Field(min_length=1)
    client_secret: SecretStr | None = None
    tenant: str = Field(default="organizations", pattern=r"^[\w.-]+$")
    """Microsoft only: the directory, by name or id."""
    device_url: str | None = None
    token_url: str | None = None
    authorize_url: str | None = None
    """The page for signing in with a browser."""
    scope: str | None = None
    refresh_token: SecretStr | None = None
    """One that was had elsewhere, for those who do not sign in by device code. By environment or `*_FILE`."""

    @field_validator("device_url", "token_url", "authorize_url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if not parts.hostname or parts.scheme not in ("http", "https"):
            raise ValueError(f"{value!r} is not a web address")
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ValueError("tokens travel by https only")
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.provider == "other" and not (self.token_url and self.scope):
            raise ValueError("provider other needs token_url and scope")
        return self


class ImapSettings(Config):
    """The mailbox that is read over IMAP. Its password comes by environment or `*_FILE`."""

    host: str = Field(min_length=1)
    port: int = Field(default=993, ge=1, le=65535)
    tls: Literal["implicit", "none"] = "implicit"
    """`none` on this machine only: no password crosses a network in clear."""
    ca_file: str | None = None
    """Whom to trust instead of the system's authorities, as a PEM file."""
    username: str | None = None
    """None: the account's address."""
    password: SecretStr | None = None
    oauth: OAuthSettings | None = None
    folders: tuple[str, ...] = Field(default=("INBOX",), min_length=1, max_length=50)
    after: Literal["leave", "seen", "move"] = "leave"
    """What becomes of a mail that was taken in."""
    move_to: str | None = None
    first_sync: Literal["new", "all"] | Duration = "new"
    """What the first look takes: new mail only, all, or what arrived within this time."""
    poll: Duration = Field(default=timedelta(seconds=60), ge=timedelta(seconds=1), le=timedelta(minutes=9))
    """How often the folder is looked through when the server announces nothing."""
    max_bytes: int = Field(default=MAIL_BYTES, ge=1024, le=MAIL_BYTES)
    """A larger mail stays in the mailbox; an interaction with its header fields is held."""

    @field_validator("first_sync", mode="before")
    @classmethod
    def _first_sync(cls, value: object) -> object:
        return value if value in ("new", "all") else parse_duration(value)

    @field_validator("folders", "move_to")
    @classmethod
    def _names(cls, value: tuple[str, ...] | str | None) -> tuple[str, ...] | str | None:
        names = (value,) if isinstance(value, str) else value or ()
        if any(not name or any(ord(c) < 32 or ord(c) == 127 for c in name) for name in names):
            raise ValueError("a folder's name is empty or holds control characters")
        if len(set(names)) != len(names):
            raise ValueError("a folder is named twice")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        problems = []
        if (self.password is None) == (self.oauth is None):
            problems.append("give either a password (…__IMAP__PASSWORD or …_FILE) or oauth")
        if (self.after == "move") != (self.move_to is not None):
            problems.append("after: move and move_to belong together")
        if self.move_to in self.folders:
            problems.append("move_to is one of the folders that are read")
        if self.tls == "none" and not is_loopback(self.host):
            problems.append("tls: none is for this machine only")
        if problems:
            raise ValueError("; ".join(problems))
        return self


class EmailSettings(Config):
    address: EmailStr
    """The mailbox's address: what arrives for it is taken, and answers come from it."""
    aliases: tuple[EmailStr, ...] = ()
    """More addresses whose mail is taken by this account. `local+anything@` needs none."""
    name: str = Field(default="", max_length=200)
    """What customers see beside the address; a line of a mail has room for 998 octets (RFC 5322 §2.1.1)."""
    queue: str | None = None
    smtp: SmtpSettings | None = None
    """Without it nothing is sent: answers to this account's mail stay pending."""
    imap: ImapSettings | None = None
    """Without it mail comes by the SMTP or LMTP door only."""
    dkim_selector: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]{1,100}$")
    """Under which name the relay's DKIM key stands in the DNS: `channels check` looks for it."""
    signature: str = Field(default="", max_length=2000)
    """What stands below each answer."""
    language: str = Field(default="", pattern=r"^([A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*)?$")
    """Of answers whose language nothing else tells."""
    html: bool = True
    """Answers have an HTML part beside their text."""
    quote: bool = False
    """Answers end with what the customer wrote, but for senders of whom nothing is proved."""
    plus_addressing: bool = False
    """The mail server delivers `local+anything@` to the mailbox: answers ask for replies to such an address, signed."""
    verp: bool = False
    """Bounces come back to such an address too, and so say whom they are about. Needs plus_addressing."""
    authserv_id: str | None = None
    """Whose Authentication-Results are believed (RFC 8601): your own mail server's id. None: nobody's."""
    authserv_ids: tuple[str, ...] = ()
    """More of them, where several of your servers check the sender."""
    profile: Literal["microsoft365"] | None = None
    """Exchange Online writes Authentication-Results without an id: believed in this place only."""
    own_lists: tuple[EmailStr, ...] = ()
    """Groups and lists of yours that write as themselves (`Ann via Support`): the customer is whom they name."""
    trusted_forms: tuple[EmailStr, ...] = ()
    """Addresses of yours from which a form writes: the customer stands in Reply-To."""
    colleagues: tuple[str, ...] = ()
    """Addresses and domains of your own people: what a verified one forwards belongs to the customer who wrote it."""
    blocked: tuple[str, ...] = ()
    """Addresses and domains (with all below them) whose mail is refused, or left in its mailbox, and counted."""

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if "=?" in value:
            raise ValueError("=? would be read as the beginning of an encoded word (RFC 2047)")
        return value

    @field_validator("blocked", "colleagues")
    @classmethod
    def _blocked(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        lowered = tuple(one.strip().lower().removeprefix("@") for one in value)
        for one in lowered:
            if not _DOMAIN.fullmatch(one.rpartition("@")[2]) or one.startswith("@"):
                raise ValueError(f"{one!r} is neither an address nor a domain")
        return lowered

    @model_validator(mode="after")
    def _sends(self) -> Self:
        problems = []
        if self.verp and not self.plus_addressing:
            problems.append("verp needs plus_addressing")
        if self.smtp is not None and self.smtp.oauth and (self.imap is None or self.imap.oauth is None):
            problems.append("smtp.oauth needs imap.oauth: both use one token")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def addresses(self) -> tuple[str, ...]:
        """All of the account's own, in lower case, its main one first."""
        written = [each.lower() for each in (self.address, *self.aliases)]
        # Mails have the domain in the one form or in the other.
        return tuple(dict.fromkeys((*written, *map(wire_address, written))))

    @property
    def trusted_authserv_ids(self) -> tuple[str, ...]:
        """All whose Authentication-Results are believed."""
        return tuple(dict.fromkeys((*((self.authserv_id,) if self.authserv_id else ()), *self.authserv_ids)))

    def told_to_parser(self) -> dict[str, object]:
        """What the parser has to know of the account, besides the addresses of all accounts."""
        return {
            "authserv_ids": list(self.trusted_authserv_ids),
            "profile": self.profile,
            "own_lists": list(self.own_lists),
            "trusted_forms": list(self.trusted_forms),
            "colleagues": list(self.colleagues),
        }

    def blocks(self, sender: str) -> bool:
        """Whether nothing is taken from this address."""
        return is_among(sender, self.blocked)


def own_addresses(accounts: Mapping[str, EmailSettings]) -> list[str]:
    """Those of all accounts: a mail to any of them is to us, and one from any of them is our own."""
    return sorted({address for settings in accounts.values() for address in settings.addresses})


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
