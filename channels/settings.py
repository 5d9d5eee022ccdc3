"""Settings of the edge that are not one account's."""

from pydantic import Field, field_validator

from runtime.http.settings import parse_bind
from schemas.base import Config
from schemas.limits import MAIL_BYTES


class SmtpIngressSettings(Config):
    """The `smtp_ingress` section: the door for mail servers, shared by all email accounts."""

    bind: str = "127.0.0.1:8025"
    max_bytes: int = Field(default=MAIL_BYTES, ge=1024, le=MAIL_BYTES)

    @field_validator("bind")
    @classmethod
    def _bind(cls, value: str) -> str:
        parse_bind(value)
        return value
