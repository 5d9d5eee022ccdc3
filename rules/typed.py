"""What pydantic says of a tree that people wrote → mistakes with their line, in their words, with a hint."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from rules.problems import Problem, did_you_mean, place_of
from rules.tree import line_of

_HINTS = {
    "string_type": "put it in quotes",
    "bool_type": "true or false, without quotes",
    "bool_parsing": "true or false, without quotes",
    "tuple_type": "such as [one, two]",
    "list_type": "such as [one, two]",
    "dict_type": "such as {key: value}",
    "model_type": "such as {key: value}",
}
_WORDS = dict.fromkeys(("dict_type", "model_type"), "has to be a mapping")


def typed_problems(
    error: ValidationError, model: type[BaseModel], tree: Any, *, file: str, line: int, label: str
) -> Iterator[Problem]:
    """Each mistake at the deepest line that is known of its place; `line`: where the tree begins."""
    for one in error.errors(include_url=False):
        path = one["loc"]
        where = ".".join(str(part) for part in path if str(part) != "[key]")
        if one["type"] == "extra_forbidden":
            what, hint = f"unknown key {str(path[-1])!r}", near(model, path)
            where = where.rpartition(".")[0]
        else:
            what, hint = _WORDS.get(one["type"], one["msg"].removeprefix("Value error, ")), _hint(one)
        place = place_of(file, line_of(tree, path) or line)
        yield Problem(place, ": ".join(filter(None, (label, where, what))), hint)


def near(model: type[BaseModel], path: tuple[Any, ...]) -> str:
    """A hint for a key that a model does not have: the nearest of those that it has there."""
    for part in path[:-1]:
        field = model.model_fields.get(str(part))
        kinds = (field.annotation, *get_args(field.annotation)) if field is not None else ()
        inner = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if inner is None:
            return ""
        model = inner
    return did_you_mean(str(path[-1]), model.model_fields)


def _hint(one: ErrorDetails) -> str:
    if one["type"] == "literal_error":
        # pydantic has them in a sentence only: 'a', 'b' or 'c'
        known = one["ctx"]["expected"].split("'")[1::2]
        written = str(one["input"])
        found = did_you_mean(next((each for each in known if each.lower() == written.lower()), written), known)
        return found if found.startswith("did") else ""
    return _HINTS.get(one["type"], "")
