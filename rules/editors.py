"""The JSON Schema of rule files, for editors that complete and check YAML (`# yaml-language-server: $schema=…`)."""

from typing import Any, get_args

from rules.fields import FIELDS, OPERATORS, Field
from rules.model import Rule
from schemas.decision import TIERS, CloseReason
from schemas.interaction import Occasion

_TEXTS = {"anyOf": [{"type": ["string", "number"]}, {"type": "array", "items": {"type": ["string", "number"]}}]}
_NAMED = "^(header|attribute|form|contacts)\\..+$"


def json_schema() -> dict[str, Any]:
    """draft 2020-12, made of the same tables that the checker uses."""
    condition: dict[str, Any] = {
        "type": "object",
        "properties": {
            "all": {"type": "array", "items": {"$ref": "#/$defs/condition"}, "minItems": 1},
            "any": {"type": "array", "items": {"$ref": "#/$defs/condition"}, "minItems": 1},
            "not": {"$ref": "#/$defs/condition"},
            **{name: _field(field) for name, field in FIELDS.items()},
        },
        "patternProperties": {_NAMED: {}},
        "additionalProperties": False,
    }
    expression = {"type": "string", "description": "A CEL expression"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Switchboard rules",
        "type": "array",
        "items": {
            "type": "object",
            "properties": _rule(),
            "required": ["name"],
            "additionalProperties": False,
        },
        "$defs": {"condition": {"anyOf": [condition, expression]}},
    }


def _field(field: Field) -> dict[str, Any]:
    operators: dict[str, Any] = dict.fromkeys(OPERATORS[field.kind], _TEXTS)
    if "exists" in operators:
        operators["exists"] = {"type": "boolean"}
    if field.kind == "flag":
        return {"anyOf": [{"type": "boolean"}, _operators({"equals": {"type": "boolean"}})]}
    if field.values:
        one = {"enum": list(field.values)}
        short: dict[str, Any] = {"anyOf": [one, {"type": "array", "items": one}]}
    else:
        short = _TEXTS
    if "contains" in operators:
        operators["match"] = {"enum": ["word", "part"]}
    if field.named:
        operators["name"] = {"type": "string"}
    return {"anyOf": [short, _operators(operators)]}


def _operators(known: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": known, "minProperties": 1, "additionalProperties": False}


def _rule() -> dict[str, Any]:
    words, name = _TEXTS, {"type": "string", "minLength": 1}
    occasion = {"enum": list(get_args(Occasion))}
    known: dict[str, Any] = {
        "name": name,
        "order": {"type": "integer"},
        "when": {"$ref": "#/$defs/condition"},
        "on": {"anyOf": [occasion, {"type": "array", "items": occasion, "minItems": 1}]},
        "tier": {"enum": list(TIERS)},
        "tags": words,
        "skills": words,
        "notify": words,
        "webhook": words,
        "set": {"type": "object"},
        "affinity": {"type": "boolean"},
        "stop": {"type": "boolean"},
        "close": {"enum": list(get_args(CloseReason))},
    }
    written = [key for key in Rule.model_fields if key not in ("file", "line", "lines")]
    return {key: known.get(key, name) for key in written}
