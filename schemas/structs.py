"""msgspec structs derived from the pydantic models: the same fields, types, limits and defaults, made once at import.

pydantic is the schema and judges at every edge. Where it costs too much (14 µs to read an interaction, 3 µs as a
struct) the router reads and writes these instead. Nothing is declared twice: a field added to a model is in its
struct. For a type checker each struct *is* its model, whose attributes it has; it has none of its methods.
"""

import types
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, cast, get_args, get_origin

import annotated_types
import msgspec
from pydantic import AwareDatetime, BaseModel
from pydantic.fields import FieldInfo

from schemas import decision as decision_
from schemas import interaction as interaction_


@cache
def struct_of(model: type[BaseModel]) -> type[msgspec.Struct]:
    """The struct of a model and, by the way, of all models in it. Raises TypeError for a type that has no like.

    A field that only ever holds one word (`channel: Literal["email"]`) is the tag by which a union is told apart.
    """
    fields: list[Any] = []
    ours = [vars(base) for base in reversed(model.__mro__) if base.__module__.startswith("schemas.")]
    shared: dict[str, Any] = {
        name: value for own in ours for name, value in own.items() if isinstance(value, property) or name == "TYPE"
    }
    tag: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        word = _only_word(info)
        if word is not None:
            tag = {"tag_field": name, "tag": word}
            shared[name] = word
        else:
            fields.append((name, _type(annotation_of(info)), *_default(info)))
    # No cycles are possible in what JSON gave, so the collector need not look at them.
    return msgspec.defstruct(
        model.__name__, fields, namespace=shared, module=__name__, frozen=True, kw_only=True, gc=False, **tag
    )


def _only_word(info: FieldInfo) -> str | None:
    words = get_args(info.annotation) if get_origin(info.annotation) is Literal else ()
    return words[0] if len(words) == 1 and info.default == words[0] else None


def annotation_of(info: FieldInfo) -> Any:
    """The field's type as it was written: pydantic keeps type and marks apart."""
    return Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation


def _default(info: FieldInfo) -> tuple[Any, ...]:
    if info.is_required():
        return ()
    if info.default_factory is not None:
        return (msgspec.field(default_factory=cast(Callable[[], Any], info.default_factory)),)
    if isinstance(info.default, BaseModel):
        return (msgspec.convert(info.default.model_dump(), struct_of(type(info.default))),)
    return (info.default,)


def _type(annotation: Any) -> Any:
    if annotation is AwareDatetime:
        return Annotated[datetime, msgspec.Meta(tz=True)]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return struct_of(annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner, limits = _type(args[0]), dict(_limits(args[1:]))
        return Annotated[inner, msgspec.Meta(**limits)] if limits else inner
    if origin is Literal or annotation in (str, int, float, bool, Any, type(None)):
        return annotation
    if origin in (Union, types.UnionType):
        return Union[tuple(map(_type, args))]  # noqa: UP007 - made of values
    if origin in (tuple, dict, list):
        return origin[tuple(arg if arg is ... else _type(arg) for arg in args)]
    raise TypeError(f"no struct type is like {annotation!r}")


def _limits(metadata: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    for each in metadata:
        match each:
            case annotated_types.Ge(ge=value):
                yield "ge", value
            case annotated_types.Gt(gt=value):
                yield "gt", value
            case annotated_types.MinLen(min_length=value):
                yield "min_length", value
            case annotated_types.MaxLen(max_length=value):
                yield "max_length", value


if TYPE_CHECKING:
    from schemas.decision import ActionTrace as ActionTrace
    from schemas.decision import Answer as Answer
    from schemas.decision import Decision as Decision
    from schemas.decision import Facts as Facts
    from schemas.decision import Failed as Failed
    from schemas.decision import RuleTrace as RuleTrace
    from schemas.interaction import Interaction as Interaction
else:
    Interaction = struct_of(interaction_.Interaction)
    Decision = struct_of(decision_.Decision)
    Answer = struct_of(decision_.Answer)
    Facts = struct_of(decision_.Facts)
    Failed = struct_of(decision_.Failed)
    ActionTrace = struct_of(decision_.ActionTrace)
    RuleTrace = struct_of(decision_.RuleTrace)
