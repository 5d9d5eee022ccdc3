"""Groups whose commands are imported when they are asked for: `switchboard topics list` need not load a mail parser."""

import importlib
from collections.abc import Collection, Mapping
from typing import Any

import typer
from typer.core import TyperGroup


def lazy_group(commands: Mapping[str, str], *, hidden: Collection[str] = ()) -> type[TyperGroup]:
    """A class for `typer.Typer(cls=…)`. `commands`: name → "module", whose `group` it is, or "module:function"."""

    class Lazy(TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            return [*super().list_commands(ctx), *(name for name in commands if name not in hidden)]

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            if cmd_name not in commands:
                return super().get_command(ctx, cmd_name)
            module, _, function = commands[cmd_name].partition(":")
            found = importlib.import_module(module)
            if function:
                alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
                alone.command(cmd_name)(getattr(found, function))
                return typer.main.get_command(alone)
            made = typer.main.get_group(found.group)
            made.name = cmd_name
            return made

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            if args and args[0] not in (*commands, *self.commands):
                # It will fail; "did you mean" is said of the names in this dictionary.
                names: dict[str, Any] = dict.fromkeys(self.list_commands(ctx))
                self.commands = names | dict(self.commands)
            return super().resolve_command(ctx, args)

    return Lazy
