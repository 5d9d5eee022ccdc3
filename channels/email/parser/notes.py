"""What was wrong with a mail while it was read."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Notes:
    """What was wrong with the mail, and whether some of it was left out."""

    defects: list[str] = field(default_factory=list)
    partial: str = ""
    """The limit that was reached, "" when all was read."""
    count: int = 0

    def defect(self, name: str) -> None:
        if name not in self.defects:
            self.defects.append(name)
