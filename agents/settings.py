"""The `desk` section."""

from datetime import timedelta

from pydantic import Field

from schemas.base import Config
from schemas.durations import Duration, parse_duration


class DeskSettings(Config):
    """How work is handed to agents."""

    lease: Duration = parse_duration("5m")
    """An accepted work item goes back to its queue when nothing is heard of its agent for this long."""
    heartbeat: Duration = parse_duration("10s")
    """How often a client renews the leases of what it holds."""
    sweep: Duration = parse_duration("2s")
    """How often leases that have run out are looked for."""
    undo: Duration = Field(default=parse_duration("10s"), ge=timedelta(), le=timedelta(hours=1))
    """How long an agent's mail waits, so that it can be withdrawn. What is written in a chat goes at once."""
    file_bytes: int = Field(default=10 * 1024 * 1024, ge=1, le=18 * 1024 * 1024)
    """What the files of one answer may have together. In base64 they grow by a third, and few servers take a mail of
    more than 25 MiB."""
    files: int = Field(default=20, ge=0, le=100)
    """Files that go with one answer; 0: none."""
    uploads_kept: Duration = Field(default=parse_duration("24h"), ge=timedelta(minutes=1))
    """So long an uploaded file waits for an answer that uses it; then it is removed."""
    copies: int = Field(default=10, ge=0, le=100)
    """Addresses that an agent may add to one answer."""
    max_items: int = Field(default=10, ge=1, le=100)
    """Work items that one agent may hold at a time."""
