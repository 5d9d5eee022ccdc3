"""One chat: a website whose visitors may write."""

from pydantic import Field

from schemas.base import Config
from schemas.durations import Duration, parse_duration


class ChatSettings(Config):
    origins: tuple[str, ...] = ()
    """Websites that may open this chat, such as https://www.example.com; our own page may always."""
    queue: str | None = None
    title: str = "Chat with us"
    session_lifetime: Duration = parse_duration("24h")
    messages_per_second: float = Field(default=1.0, gt=0)
    burst: int = Field(default=10, ge=1)
