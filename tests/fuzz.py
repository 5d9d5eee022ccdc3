"""`make fuzz`: coverage-guided fuzzing of the mail parser (atheris), from the seeds in `tests/seeds`.

What it finds is written to `build/fuzz`; a finding becomes a seed, and a test named after what it was.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

import orjson

ROOT = Path(__file__).parents[1]
EXPECTED = ("empty", "no header and no text")
NOW = datetime(2026, 3, 4, 10, 0, tzinfo=UTC)


def check(raw: bytes) -> None:
    """Never raises, gives what can be written down, and loses no new text."""
    from channels.email.parser.mail import Known, Mail
    from channels.email.parser.parse import contact_of
    from channels.email.parser.report import report
    from schemas.interaction import Contact

    known = Known(own_addresses=("help@shop.example",), authserv_ids=("mx.shop.example",))
    try:
        contact = contact_of(Mail(raw, known), account="a", received_at=NOW, queue=None)
    except RecursionError:
        return  # `parse` makes an unparsed mail of it
    Contact.model_validate_json(contact.model_dump_json())
    made = report(raw, file="x", known={"own_addresses": ["help@shop.example"]})
    assert made["outcome"] in ("parsed", "partial") or made["reason"] in EXPECTED, made["reason"]
    assert bool(made["new_text"].strip()) == bool(made["text"].strip())
    orjson.dumps(made)


def main() -> None:
    import atheris

    with atheris.instrument_imports(include=["channels.email"]):
        import channels.email.parser.report  # noqa: F401

    found = ROOT / "build" / "fuzz"
    (found / "corpus").mkdir(parents=True, exist_ok=True)
    atheris.Setup(
        [*sys.argv, f"-artifact_prefix={found}/", str(found / "corpus"), str(ROOT / "tests" / "seeds")], check
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
