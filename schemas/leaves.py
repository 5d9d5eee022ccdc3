"""Gathering all values of one kind (every `Line`, every `Instant`) out of a model or its struct, quickly."""

import types
from collections.abc import Callable, Iterable
from itertools import chain
from operator import attrgetter
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from schemas.structs import annotation_of, struct_of

Gather = Callable[[Any], Iterable[Any]]
IsLeaf = Callable[[Any], bool]


def leaves_of(model: type[BaseModel], leaf: Any) -> Callable[[Any], list[Any]]:
    """A function from the model's struct to its values that were annotated as `leaf` (`Annotated[...]`).

    Built once, so that what runs is little more than attribute access. Values that are None are left out.
    """
    base, *marks = get_args(leaf)

    def is_leaf(annotation: Any) -> bool:
        args = get_args(annotation) if get_origin(annotation) is Annotated else ()
        return bool(args) and args[0] is base and all(mark in args[1:] for mark in marks)

    return _of_model(model, is_leaf) or (lambda _: [])


def _of_model(model: type[BaseModel], is_leaf: IsLeaf) -> Callable[[Any], list[Any]] | None:
    plain: list[str] = []
    rest: list[tuple[Callable[[Any], Any], Gather]] = []
    for name, info in model.model_fields.items():
        annotation = annotation_of(info)
        if is_leaf(annotation):
            plain.append(name)
        elif gather := _of(annotation, is_leaf):
            rest.append((attrgetter(name), gather))
    if not plain and not rest:
        return None
    first = attrgetter(*plain, plain[0]) if plain else lambda _: (None,)  # one name more: always a tuple

    def gathered(value: Any) -> list[Any]:
        found = list(first(value))
        found.pop()
        for get, gather in rest:
            found += gather(get(value))
        return found

    return gathered


def _of(annotation: Any, is_leaf: IsLeaf) -> Gather | None:
    if is_leaf(annotation):
        return lambda value: (value,)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _of_model(annotation, is_leaf)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _of(args[0], is_leaf)
    if origin in (Union, types.UnionType):
        return _of_union(args, is_leaf)
    if origin is tuple:
        return _of_tuple(args, is_leaf)
    if origin is dict:
        gather = _of(args[1], is_leaf)
        return gather and (lambda value: chain.from_iterable(map(gather, value.values())))
    return None


def _of_union(args: tuple[Any, ...], is_leaf: IsLeaf) -> Gather | None:
    models = {struct_of(arg): _of(arg, is_leaf) for arg in args if isinstance(arg, type) and issubclass(arg, BaseModel)}
    if any(models.values()):
        nothing: Gather = lambda _: ()  # noqa: E731
        by_type = {struct: gather or nothing for struct, gather in models.items()}
        return lambda value: () if value is None else by_type[type(value)](value)
    others = [gather for gather in (_of(arg, is_leaf) for arg in args if arg is not type(None)) if gather]
    if len(others) > 1:
        raise TypeError(f"which of {args} a value is cannot be told")
    return (lambda value: () if value is None else others[0](value)) if others else None


def _of_tuple(args: tuple[Any, ...], is_leaf: IsLeaf) -> Gather | None:
    same = len({arg for arg in args if arg is not ...}) == 1
    if same and is_leaf(args[0]):
        return lambda value: value
    gather = _of(args[0], is_leaf)
    if gather is None and not any(_of(arg, is_leaf) for arg in args if arg is not ...):
        return None
    if not same or gather is None:
        raise TypeError(f"tuples of different kinds are not gathered: {args}")
    if _is_flat(args[0], is_leaf):
        return chain.from_iterable
    return lambda value: chain.from_iterable(map(gather, value))


def _is_flat(annotation: Any, is_leaf: IsLeaf) -> bool:
    """A tuple of leaves only, which gathers to itself."""
    return get_origin(annotation) is tuple and all(arg is ... or is_leaf(arg) for arg in get_args(annotation))
