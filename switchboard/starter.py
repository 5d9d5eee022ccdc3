"""What `switchboard init` writes: the example configuration, which the tests load."""

import shutil
from pathlib import Path

import orjson

from rules import cases
from rules.editors import json_schema
from schemas.errors import ConfigError

SCHEMAS = {"rules": ("rules.schema.json", json_schema), "cases": ("cases.schema.json", cases.json_schema)}
"""Folder → the schema that editors check its files with."""


def example_folder() -> Path:
    """The shipped example: beside the package in a wheel, below the root in a checkout."""
    here = Path(__file__).resolve().parent
    for candidate in (here / "_app" / "examples" / "config", here.parent / "examples" / "config"):
        if candidate.is_dir():
            return candidate
    raise ConfigError(["the example configuration is not part of this installation"])


def write_starter(folder: Path) -> list[Path]:
    """Copy the example to `folder`. Raises ConfigError rather than overwrite anything."""
    source = example_folder()
    files = [path for path in sorted(source.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    targets = [folder / path.relative_to(source) for path in files]
    if taken := [str(target) for target in targets if target.exists()]:
        more = f" (and {len(taken) - 1} more)" if len(taken) > 1 else ""
        raise ConfigError([f"{taken[0]} exists already{more}"], hint="choose an empty folder")
    for path, target in zip(files, targets, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    for target in targets:
        if target.parent.name in SCHEMAS:  # in a checkout editors find it among the documents
            name, _ = SCHEMAS[target.parent.name]
            text = target.read_text(encoding="utf-8")
            target.write_text(text.replace(f"../../../docs/{name}", f"../{name}"), encoding="utf-8")
    for name, schema in SCHEMAS.values():
        (folder / name).write_bytes(orjson.dumps(schema()) + b"\n")
    return [*targets, *(folder / name for name, _ in SCHEMAS.values())]
