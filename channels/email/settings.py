"""One email account."""

from typing import Literal

from pydantic import EmailStr, Field, SecretStr

from schemas.base import Config


class SmtpSettings(Config):
    """The relay that takes our mail. Its password comes by environment or `*_FILE`."""

    host: str = Field(min_length=1)
    port: int = Field(default=587, ge=1, le=65535)
    tls: Literal["none", "starttls", "implicit"] = "starttls"
    username: str | None = None
    password: SecretStr | None = None
    connections: int = Field(default=5, ge=1, le=100)


class EmailSettings(Config):
    address: EmailStr
    """The mailbox's address: what arrives for it is taken, and answers come from it."""
    name: str = ""
    """What customers see beside the address."""
    queue: str | None = None
    smtp: SmtpSettings | None = None
    """Without it nothing is sent: answers to this account's mail stay pending."""
    authserv_id: str | None = None
    """Whose Authentication-Results are believed (RFC 8601): your own mail server's id. None: nobody's."""
