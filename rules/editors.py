"""The JSON Schema of rule files, for editors that complete and check YAML (`# yaml-language-server: $schema=…`).

Made of the tables that reading uses, and as strict as reading is about form. What only a look at the rest of the
policy, at a regex or at an expression can tell is left to `rules check`.
"""

from typing import Any, get_args

from rules.fields import FIELDS, OPERATORS, Field
from rules.model import LISTS, Operator, Rule
from rules.parse import MAX_PARTS
from rules.quantities import CLOCK, DAYS_BACK, DURATION, MEASURES, NUMBER, SPAN, WINDOW
from schemas.decision import TIERS, CloseReason
from schemas.interaction import Occasion

_TEXT = {"type": ["string", "integer"], "pattern": r"\S"}
_TRUTH = {"type": "boolean"}
_MATCHING = ("contains", "contains_all")


def json_schema() -> dict[str, Any]:
    """draft 2020-12."""
    condition: dict[str, Any] = {
        "type": "object",
        "properties": {
            "all": {"$ref": "#/$defs/conditions"},
            "any": {"$ref": "#/$defs/conditions"},
            "not": {"$ref": "#/$defs/condition"},
            **{name: _written_apart(name, field) if field.named else _field(field) for name, field in FIELDS.items()},
            "sender_domain": _of_domains(FIELDS["sender_domain"]),
        },
        "patternProperties": {_pattern(name): _field(field) for name, field in FIELDS.items() if field.named},
        "minProperties": 1,
        "additionalProperties": False,
    }
    expression = {"type": "string", "pattern": r"\S", "description": "A CEL expression"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Switchboard rules",
        "type": ["array", "null"],
        "items": {
            "type": "object",
            "properties": _rule(),
            "required": ["name"],
            "additionalProperties": False,
        },
        "$defs": {
            "condition": {"anyOf": [condition, expression]},
            "conditions": {
                "type": "array",
                "items": {"$ref": "#/$defs/condition"},
                "minItems": 1,
                "maxItems": MAX_PARTS,
            },
        },
    }


def _of_domains(field: Field) -> dict[str, Any]:
    """Whole domains: wildcards are `sender`'s."""
    stars = {"type": "string", "pattern": "[*@]"}
    found = {"type": "array", "contains": stars}
    said = {
        "type": "object",
        "anyOf": [{"properties": {each: {"anyOf": [stars, found]}}, "required": [each]} for each in ("equals", "in")],
    }
    return {**_field(field), "not": {"anyOf": [stars, found, said]}}


def _pattern(name: str) -> str:
    """`header.NAME`; the days of contacts are numbers."""
    return rf"^{name}\.({DAYS_BACK})$" if name == "contacts" else rf"^{name}\..*\S"


def _written_apart(name: str, field: Field) -> dict[str, Any]:
    """`header: {name: NAME, …}`."""
    written: dict[str, Any] = {
        "type": ["string", "integer"],
        "pattern": rf"^({DAYS_BACK})$",
        "minimum": 1,
        "maximum": 30,
    }
    return _operators(field, {"name": written if name == "contacts" else _TEXT})


def _field(field: Field) -> dict[str, Any]:
    """With its operators, or short."""
    short: list[dict[str, Any]] = []
    if field.kind == "set":
        short = [_operand(field, "contains")]
    elif field.kind == "clock":
        short = [_operand(field, "between")]
    elif field.named or field.kind != "text":
        short = [_operand(field, "equals"), *([_many(_one(field, "in"))] if "in" in OPERATORS[field.kind] else [])]
    return {"anyOf": [*short, _operators(field, {})]}


def _operators(field: Field, more: dict[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = {operator: _operand(field, operator) for operator in OPERATORS[field.kind]}
    found: dict[str, Any] = {"type": "object", "minProperties": 1 + len(more), "required": [*more]}
    if field.kind != "set" and "contains" in known:
        known["match"] = {"enum": ["word", "part"]}
        found["dependentSchemas"] = {"match": {"anyOf": [{"required": [each]} for each in _MATCHING]}}
    return {**found, "properties": known | more, "additionalProperties": False}


def _operand(field: Field, operator: Operator) -> dict[str, Any]:
    one = _one(field, operator)
    return {"anyOf": [one, _many(one)]} if operator in LISTS else one


def _many(one: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": one, "minItems": 1}


def _one(field: Field, operator: Operator) -> dict[str, Any]:
    """One value that it is compared with."""
    if operator == "exists" or field.kind == "flag":
        return _TRUTH
    if operator == "between":
        return {"type": "string", "pattern": WINDOW}
    if field.values and operator in ("equals", "in"):
        # In any case, as reading takes them; first as they are written here, which is what editors offer.
        other = "|".join(map(_in_any_case, field.values))
        return {"anyOf": [{"enum": [*field.values]}, {"type": "string", "pattern": f"^({other})$"}]}
    if field.kind in MEASURES:
        pattern = {"number": NUMBER, "span": SPAN, "clock": CLOCK}[field.kind]
        return {"type": "string" if field.kind == "clock" else ["string", "number"], "pattern": pattern}
    return {"type": ["string", "integer"], "minLength": 1} if operator == "regex" else _TEXT


def _in_any_case(value: str) -> str:
    return "".join(f"[{each}{each.upper()}]" if each.upper() != each.lower() else each for each in value.lower())


def _rule() -> dict[str, Any]:
    words = {"anyOf": [_TEXT, _many(_TEXT)]}
    occasion = {"enum": list(get_args(Occasion))}
    known: dict[str, Any] = {
        "name": {**_TEXT, "maxLength": 128},
        "order": {"type": "integer"},
        "when": {"$ref": "#/$defs/condition"},
        "on": {"anyOf": [occasion, {**_many(occasion), "uniqueItems": True}]},
        "tier": {"enum": list(TIERS)},
        "target": {"type": "string", "pattern": DURATION},
        "tags": words,
        "skills": words,
        "notify": words,
        "webhook": words,
        "set": {
            "type": "object",
            "propertyNames": {"pattern": r"\S", "not": {"pattern": r"^attributes?\."}},
            "additionalProperties": _TEXT,
            "minProperties": 1,
        },
        "affinity": _TRUTH,
        "stop": _TRUTH,
        "close": {"enum": list(get_args(CloseReason))},
    }
    written = [key for key in Rule.model_fields if key not in ("file", "line", "lines")]
    return {key: known.get(key, _TEXT) for key in written}
