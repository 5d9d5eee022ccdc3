"""Settings of the edge that are not one account's."""

from typing import Self

from pydantic import Field, field_validator, model_validator

from runtime.http.settings import parse_bind
from schemas.base import Config
from schemas.limits import MAIL_BYTES


class SmtpIngressSettings(Config):
    """The `smtp_ingress` section: the doors for mail servers, shared by all email accounts."""

    bind: str = "127.0.0.1:8025"
    lmtp_bind: str | None = None
    """A second door that speaks LMTP, and so answers for each recipient on its own."""
    max_bytes: int = Field(default=MAIL_BYTES, ge=1024, le=MAIL_BYTES)
    tls_cert: str | None = None
    """PEM file with the certificate and its chain: with it STARTTLS is offered. Relative to the configuration."""
    tls_key: str | None = None
    require_tls: bool = False

    @field_validator("bind", "lmtp_bind")
    @classmethod
    def _bind(cls, value: str | None) -> str | None:
        if value is not None:
            parse_bind(value)
        return value

    @model_validator(mode="after")
    def _tls(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together")
        if self.require_tls and self.tls_cert is None:
            raise ValueError("require_tls needs tls_cert and tls_key")
        return self
