"""JSON Schemas (draft 2020-12) of every event type, for readers in other languages."""

from pathlib import Path
from typing import Any

import orjson

from schemas.events import EVENTS


def documents() -> dict[str, dict[str, Any]]:
    """CloudEvents type → JSON Schema of its data."""
    found = {}
    for name, event in sorted(EVENTS.items()):
        document = event.model_json_schema(mode="serialization")
        found[name] = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:{name}",
            **document,
        }
    return found


def write(folder: Path) -> list[Path]:
    """Write `<type>.json` per event type. Returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, document in documents().items():
        path = folder / f"{name}.json"
        path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")
        paths.append(path)
    return paths
