"""Jinja2 for answer texts, in bounds: no calls, no reaching into objects, no step whose result can grow without limit.

Rendering happens where every message passes, so memory and time are bounded before they are spent: what could multiply
(`join`, `round`, `+`) is counted first, and everything else grows by a small factor at most.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.runtime import LoopContext, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

SOURCE_CHARS = 64 * 1024
"""A template is no longer than this."""
STEP_CHARS = 64 * 1024
"""No single step of an expression makes more."""
LIST_ITEMS = 100
"""So many items may be written out in a list, and so many values joined in one expression."""
LOOP_DEPTH = 2
_JOINING = (nodes.Concat, nodes.Add)
DIGITS = 20
FILTERS = (
    "abs", "capitalize", "d", "default", "e", "escape", "first", "float", "int", "join", "last", "length", "lower",
    "round", "string", "title", "trim", "truncate", "upper", "urlencode",
)  # fmt: skip
TESTS = ("defined", "undefined", "none", "string", "number", "eq", "ne", "lt", "le", "gt", "ge", "in", "even", "odd")


class Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def __init__(self, *, autoescape: bool) -> None:
        super().__init__(autoescape=autoescape, undefined=jinja2.StrictUndefined, keep_trailing_newline=False)
        self.globals.clear()
        self.filters = {name: _bounded(name, JINJA_FILTERS[name]) for name in FILTERS}
        self.tests = {name: self.tests[name] for name in TESTS}

    def is_safe_callable(self, obj: Any) -> bool:
        return False

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        if isinstance(obj, (LoopContext, Undefined)):
            return super().getattr(obj, attribute)
        return self.unsafe_undefined(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(argument, str):
            return self.getattr(obj, argument)
        return super().getitem(obj, argument)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator != "+":
            raise SecurityError(f"{operator} is not available in templates")
        _limit(_size(left) + _size(right))
        return super().call_binop(context, operator, left, right)


def _size(value: Any) -> int:
    """How long a value is when it is printed or joined, about."""
    if isinstance(value, str):
        return len(value)
    return sum(map(_size, value)) if isinstance(value, Mapping | list | tuple) else DIGITS


def _limit(size: int) -> None:
    if size > STEP_CHARS:
        raise SecurityError(f"an expression makes more than {STEP_CHARS} characters")


def _bounded(name: str, filter_: Callable[..., Any]) -> Callable[..., Any]:
    """The filter with its work counted: what goes in and comes out, and for `join` what comes between."""
    # Those that Jinja2 gives its state first have the value second.
    passes = getattr(filter_, "jinja_pass_arg", None)

    @wraps(filter_)
    def bounded(*args: Any, **options: Any) -> Any:
        value, *more = args[1:] if passes is not None else args
        _limit(_size(value) + sum(map(_size, more)) + sum(map(_size, options.values())))
        if name == "join":
            between = options.get("d", more[0] if more else "")
            _limit(_size(value) + _size(between) * len(value))
        if name == "round" and abs(int(options.get("precision", more[0] if more else 0))) > DIGITS:
            raise SecurityError(f"round takes at most {DIGITS} digits")
        found = filter_(*args, **options)
        _limit(_size(found))
        return found

    return bounded


def oversized(tree: nodes.Template) -> Iterator[tuple[int, str]]:
    """(line, what) of everything that could grow step by step, or turn for ever."""
    for node in tree.find_all((nodes.AssignBlock, nodes.FilterBlock)):
        yield node.lineno, "blocks of set and filter are not available in templates"
    named = [(node.lineno, node.node) for node in tree.find_all(nodes.Assign)]
    named += [(node.lineno, value) for node in tree.find_all(nodes.With) for value in node.values]
    for line, value in named:
        if isinstance(value, _JOINING) or any(value.find_all(_JOINING)):
            yield line, "texts are joined where they are printed, not by set or with"
    lists: tuple[type[nodes.Node], ...] = (nodes.List, nodes.Tuple, nodes.Dict)
    for written in tree.find_all(lists):
        if getattr(written, "ctx", "load") == "load" and any(written.find_all(nodes.Name)):
            yield written.lineno, "a list that is written out holds fixed texts only"
        if len(getattr(written, "items", ())) > LIST_ITEMS:
            yield written.lineno, f"a list holds at most {LIST_ITEMS} items"
    for joined in tree.find_all(_JOINING):
        if sum(1 for _ in joined.find_all(nodes.Name)) > LIST_ITEMS:
            yield joined.lineno, f"at most {LIST_ITEMS} values are joined at once"
    for loop in tree.find_all(nodes.For):
        over = loop.iter
        if not isinstance(over, nodes.List | nodes.Tuple) and getattr(over, "name", "") != "attributes":
            yield loop.lineno, "a loop goes over attributes, or a list that is written out"
        if loop.recursive or _depth(loop) > LOOP_DEPTH:
            yield loop.lineno, f"loops may be nested {LOOP_DEPTH} deep, and not recursive"


def _depth(loop: nodes.For) -> int:
    return 1 + max((_depth(inner) for inner in loop.find_all(nodes.For)), default=0)
