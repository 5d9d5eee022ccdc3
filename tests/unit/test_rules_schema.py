"""The JSON Schema of rules: published as the code has it, and named by the files that editors open."""

from pathlib import Path

import jsonschema
import orjson

from rules.editors import json_schema
from rules.load import read_yaml
from switchboard.starter import write_starter
from tests.kit.policies import EXAMPLE

DOCS = Path(__file__).parents[2] / "docs"


def named_by(path: Path) -> Path:
    """The schema that the file's first line names."""
    line = path.read_text(encoding="utf-8").splitlines()[0]
    assert line.startswith("# yaml-language-server: $schema=")
    return (path.parent / line.partition("=")[2]).resolve()


def test_the_published_schema_is_that_of_the_code_and_the_example_names_it() -> None:
    published = orjson.loads((DOCS / "rules.schema.json").read_bytes())
    assert published == json_schema(), "run: switchboard rules schema > docs/rules.schema.json"
    for path in sorted((EXAMPLE / "rules").glob("*.yaml")):
        assert named_by(path) == DOCS / "rules.schema.json"
        jsonschema.validate(read_yaml(path, path.name), published)


def test_a_new_site_brings_its_schema_along(tmp_path: Path) -> None:
    written = write_starter(tmp_path / "site")
    rules = [path for path in written if path.parent.name == "rules"]
    assert rules
    assert all(orjson.loads(named_by(path).read_bytes()) == json_schema() for path in rules)
