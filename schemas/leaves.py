"""Gathering all values of one kind (every `Line`, every `Instant`) out of a model's struct, quickly.

The function that gathers is written as source, as dataclasses do it, because plain attribute access in one expression
costs a third of what calls to closures cost.
"""

import types
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from schemas.structs import annotation_of, struct_of

Gather = Callable[[Any], list[Any]]


def leaves_of(model: type[BaseModel], leaf: Any) -> Gather:
    """A function from the model's struct to its values that were annotated as `leaf` (`Annotated[...]`).

    Values that are None are left out. Raises TypeError for a place from which it cannot gather.
    """
    return _Writer(leaf).function(model)


class _Writer:
    def __init__(self, leaf: Any) -> None:
        self._base, *self._marks = get_args(leaf)
        self._names: dict[str, Any] = {"chain": chain}

    def function(self, model: type[BaseModel]) -> Gather:
        source = f"lambda value: [{', '.join(self._of_model(model, 'value'))}]"
        gather: Gather = eval(source, self._names)  # noqa: S307 - made of the names of our own fields
        return gather

    def _of_model(self, model: type[BaseModel], value: str) -> Iterator[str]:
        for name, info in model.model_fields.items():
            yield from self._of(annotation_of(info), f"{value}.{name}")

    def _of(self, annotation: Any, value: str) -> Iterator[str]:
        """Items of a list display that hold the leaves of `value`."""
        origin, args = get_origin(annotation), get_args(annotation)
        if self._is_leaf(annotation):
            yield value
        elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from self._of_model(annotation, value)
        elif origin is Annotated:
            yield from self._of(args[0], value)
        elif origin in (Union, types.UnionType):
            yield from self._of_union([arg for arg in args if arg is not type(None)], value)
        elif origin is tuple:
            yield from self._of_tuple(args, value)
        elif any(list(self._of(arg, value)) for arg in args if arg is not ...):
            raise TypeError(f"nothing is gathered out of {annotation}")

    def _is_leaf(self, annotation: Any) -> bool:
        args = get_args(annotation) if get_origin(annotation) is Annotated else ()
        return bool(args) and args[0] is self._base and all(mark in args[1:] for mark in self._marks)

    def _of_union(self, args: list[Any], value: str) -> Iterator[str]:
        models = [arg for arg in args if isinstance(arg, type) and issubclass(arg, BaseModel)]
        if len(args) == 1:
            parts = ", ".join(self._of(args[0], value))
            if parts:
                yield f"*(() if {value} is None else ({parts},))"
        elif len(models) == len(args) and any(list(self._of(arg, value)) for arg in args):
            by_type = {struct_of(model): self.function(model) for model in models}
            yield f"*{self._named(by_type)}[type({value})]({value})"
        elif any(list(self._of(arg, value)) for arg in args):
            raise TypeError(f"which of {args} a value is cannot be told")

    def _of_tuple(self, args: tuple[Any, ...], value: str) -> Iterator[str]:
        kinds = {arg for arg in args if arg is not ...}
        parts = [part for kind in kinds for part in self._of(kind, "item")]
        if len(kinds) > 1 and parts:
            raise TypeError(f"tuples of different kinds are not gathered: {args}")
        if parts == ["item"]:
            yield f"*{value}"
        elif parts == ["*item"]:
            yield f"*chain.from_iterable({value})"
        elif parts:
            yield f"*chain.from_iterable([{', '.join(parts)}] for item in {value})"

    def _named(self, thing: Any) -> str:
        name = f"by_type_{len(self._names)}"
        self._names[name] = thing
        return name
