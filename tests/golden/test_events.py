"""Every event against its golden file: what was written by a released version stays readable, byte for byte.

`python -m tests.golden.test_events` writes the files of events that have none; it never changes one that exists.
"""

from pathlib import Path

import jsonschema
import orjson
import pytest

from schemas.codec import decode, encode
from schemas.events import EVENTS
from schemas.export import documents
from tests.kit.events import examples

FOLDER = Path(__file__).parent / "events"
SCHEMAS = Path(__file__).parents[2] / "schemas" / "json"


@pytest.mark.parametrize("name", sorted(examples()))
def test_what_we_write_is_the_golden_file(name: str) -> None:
    golden = orjson.loads((FOLDER / f"{name}.json").read_bytes())
    encoded = encode(examples()[name])
    assert orjson.loads(encoded.value) == golden["data"]
    assert {key: value.decode() for key, value in encoded.headers} == golden["headers"]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda p: p.stem)
def test_what_was_ever_written_is_still_read(path: Path) -> None:
    golden = orjson.loads(path.read_bytes())
    headers = [(key, value.encode()) for key, value in golden["headers"].items()]
    event = decode(headers, orjson.dumps(golden["data"]))
    assert type(event) is EVENTS[golden["headers"]["ce_type"]], event
    jsonschema.validate(golden["data"], documents()[golden["headers"]["ce_type"]])


def test_the_exported_schemas_are_those_of_the_code() -> None:
    exported = {path.stem: orjson.loads(path.read_bytes()) for path in SCHEMAS.glob("*.json")}
    assert exported == documents(), "run: switchboard schemas export"


def test_every_event_type_has_a_golden_file() -> None:
    types = {orjson.loads(path.read_bytes())["headers"]["ce_type"] for path in FOLDER.glob("*.json")}
    assert types == set(EVENTS)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, event in examples().items():
        path = FOLDER / f"{name}.json"
        if not path.exists():
            encoded = encode(event)
            document = {
                "headers": {key: value.decode() for key, value in encoded.headers},
                "data": orjson.loads(encoded.value),
            }
            path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
