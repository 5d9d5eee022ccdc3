"""The JSON Schema of rules: published as the code has it, and named by the files that editors open."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest

from rules import cases
from rules.editors import json_schema
from rules.load import read_yaml
from switchboard.starter import write_starter
from tests.kit.policies import EXAMPLE

DOCS = Path(__file__).parents[2] / "docs"


PUBLISHED = (
    ("rules", "rules.schema.json", json_schema, ""),
    ("cases", "cases.schema.json", cases.json_schema, " --cases"),
)


def named_by(path: Path) -> Path:
    """The schema that the file's first line names."""
    line = path.read_text(encoding="utf-8").splitlines()[0]
    assert line.startswith("# yaml-language-server: $schema=")
    return (path.parent / line.partition("=")[2]).resolve()


@pytest.mark.parametrize(("folder", "name", "schema", "option"), PUBLISHED)
def test_the_published_schema_is_that_of_the_code_and_the_example_names_it(
    folder: str, name: str, schema: Callable[[], Any], option: str
) -> None:
    published = orjson.loads((DOCS / name).read_bytes())
    assert published == schema(), f"run: switchboard rules schema{option} > docs/{name}"
    paths = sorted((EXAMPLE / folder).glob("*.yaml"))
    assert paths
    for path in paths:
        assert named_by(path) == DOCS / name
        jsonschema.validate(read_yaml(path, path.name), published)


def test_a_new_site_brings_its_schemas_along(tmp_path: Path) -> None:
    written = write_starter(tmp_path / "site")
    for folder, _, schema, _ in PUBLISHED:
        files = [path for path in written if path.parent.name == folder]
        assert files
        assert all(orjson.loads(named_by(path).read_bytes()) == schema() for path in files)
