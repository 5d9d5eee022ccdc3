"""Which email account a command means."""

from channels.email.settings import EmailSettings
from schemas.errors import ConfigError
from switchboard.settings import Configuration


def email_account(configuration: Configuration, name: str | None) -> tuple[str, EmailSettings]:
    """The account of that name, or the only one. Raises ConfigError."""
    accounts = configuration.channels.get("email", {})
    if name is None and len(accounts) == 1:
        name = next(iter(accounts))
    if name is None:
        raise ConfigError([f"there are {len(accounts)} email accounts"], hint=f"--account {'|'.join(accounts)}")
    if name not in accounts:
        raise ConfigError([f"{name}: there is no such email account"], hint=f"known: {', '.join(accounts) or 'none'}")
    settings = accounts[name]
    assert isinstance(settings, EmailSettings)
    return name, settings
