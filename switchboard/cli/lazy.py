"""Groups whose commands are imported when they are asked for: `switchboard topics list` need not load a mail parser."""

import ast
import importlib
import importlib.util
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


def lazy_group(commands: Mapping[str, str], *, hidden: Collection[str] = ()) -> type[TyperGroup]:
    """A class for `typer.Typer(cls=…)`. `commands`: name → "module", whose `group` it is, or "module:function"."""

    class Lazy(TyperGroup):
        _listing = False

        def list_commands(self, ctx: Any) -> list[str]:
            return [*super().list_commands(ctx), *(name for name in commands if name not in hidden)]

        def format_help(self, ctx: Any, formatter: Any) -> None:
            self._listing = True
            super().format_help(ctx, formatter)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            if cmd_name not in commands:
                return super().get_command(ctx, cmd_name)
            if self._listing:
                return TyperCommand(cmd_name, help=summary(commands[cmd_name]))
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


def summary(place: str) -> str:
    """What the command at "module" or "module:function" says of itself, read from its source: to import them all for a
    list of names takes seconds."""
    module, _, function = place.partition(":")
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    for node in ast.parse(Path(spec.origin).read_bytes()).body:
        if function and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function:
            return (ast.get_docstring(node) or "").partition("\n\n")[0]
        if not function and isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            told = {key.arg: key.value for key in node.value.keywords}
            if ast.unparse(node.targets[0]) == "group" and isinstance(text := told.get("help"), ast.Constant):
                return str(text.value)
    raise LookupError(f"{place} says nothing of itself")
