"""The `http` section."""

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from schemas.base import Config


def parse_bind(value: str) -> tuple[str, int]:
    """`127.0.0.1:8080`, `localhost:0` or `[::1]:8080` as host and port. Raises ValueError."""
    host, colon, port = value.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{value!r}: write an IPv6 address in brackets, [::1]:8080")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{value!r} is not host:port, such as 127.0.0.1:8080")
    return host, int(port)


class HttpSettings(Config):
    """Where the pages and the API are served."""

    bind: str = "127.0.0.1:8080"
    public_url: str | None = None
    """How people reach us, when it is not http://<bind>: links in mails and pages start with it."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses whose X-Forwarded-For and -Proto are believed."""
    max_body_bytes: int = Field(default=1_048_576, ge=1024)

    @field_validator("bind")
    @classmethod
    def _bind(cls, value: str) -> str:
        parse_bind(value)
        return value

    @field_validator("public_url")
    @classmethod
    def _public_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("not a web address, such as https://support.example.com")
        return value.rstrip("/")

    @property
    def host(self) -> str:
        return parse_bind(self.bind)[0]

    @property
    def port(self) -> int:
        return parse_bind(self.bind)[1]

    @property
    def is_loopback(self) -> bool:
        return self.host in ("127.0.0.1", "::1", "localhost")
