"""The application and its global options."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import ConfigError
from switchboard.cli.lazy import lazy_group

if TYPE_CHECKING:
    from switchboard.settings import Configuration

DEFAULT_FILE = "switchboard.yaml"

VERBS = ("version", "init", "check", "doctor", "migrate", "run", "router-process", "demo", "ledger", "trace")
"""For the whole system."""
NOUNS = ("topics", "schemas", "rules", "channels", "agents", "customers", "interactions", "deliveries", "dead-letters")


def _place(name: str) -> str:
    return name.replace("-", "_")


app = typer.Typer(
    cls=lazy_group(
        {verb: f"switchboard.cli.system:{_place(verb)}" for verb in VERBS}
        | {noun: f"switchboard.cli.{_place(noun)}" for noun in NOUNS},
        hidden=["router-process"],
    ),
    name="switchboard",
    help="Every customer's message on one pipeline: threaded, prioritised, answered, accounted for.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@dataclass
class Globals:
    """What the global options said."""

    config: Path = Path(DEFAULT_FILE)
    verbose: bool = False
    quiet: bool = False
    short: bool = False
    """A short command: its output is data."""


options = Globals()


def _version(wanted: bool) -> None:
    if wanted:
        from switchboard.version import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    config: Annotated[
        Path, typer.Option("--config", "-c", envvar="SWITCHBOARD_CONFIG", help="The configuration file.")
    ] = Path(DEFAULT_FILE),
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only what went wrong.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    options.config, options.verbose, options.quiet = config, verbose, quiet


def configuration(overrides: dict[str, str] | None = None, *, with_policy: bool = True) -> "Configuration":
    """Load and check everything (`with_policy`: the policy, too), and set logging up. Raises ConfigError."""
    from runtime.logs import configure_logs
    from switchboard.settings import load

    if not options.config.exists():
        raise ConfigError(
            [f"{options.config}: there is no such file"],
            hint="switchboard init makes one, or name another: switchboard --config FILE …",
        )
    found = load(options.config, overrides=overrides, with_policy=with_policy)
    if options.short:
        return found
    log = found.settings.log
    if options.verbose or options.quiet:
        log = log.model_copy(update={"level": "debug" if options.verbose else "warning"})
    configure_logs(log)
    return found


def quiet_logs() -> None:
    """For short commands: their output is data, so only what went wrong is logged."""
    from runtime.logs import LogSettings, configure_logs

    options.short = True
    configure_logs(LogSettings(level="debug" if options.verbose else "error"))
