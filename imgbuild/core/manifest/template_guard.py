"""What a template may do: a metered Jinja sandbox with few filters, no globals and no big values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NoReturn, cast

from jinja2 import Environment, StrictUndefined, Undefined, UndefinedError, nodes, pass_context
from jinja2.compiler import CodeGenerator, Frame, optimizeconst
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.lexer import TokenStream
from jinja2.meta import TrackingCodeGenerator
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from imgbuild.core.manifest.template_parts import MAX_RENDERED

# Units of work: a character made, or a step. Enough for any prompt, too little to hang on.
_WORK = 4 * MAX_RENDERED
_STEP = 64
_MAX_BITS = 1_024
METER = "\0meter"
"""The context's name for the meter: no template can write it."""

# fmt: off
_FILTERS = [
    "abs", "capitalize", "d", "default", "dictsort", "first", "float", "int", "items", "last", "length",
    "count", "list", "lower", "map", "max", "min", "reject", "rejectattr", "reverse", "round", "select",
    "selectattr", "sort", "string", "title", "trim", "truncate", "unique", "upper"
]
_TEXT_FILTERS = frozenset(["capitalize", "lower", "string", "title", "trim", "truncate", "upper"])
_METHODS: dict[type, frozenset[str]] = {
    str: frozenset(
        [
            "capitalize", "casefold", "count", "endswith", "find", "isalpha", "isdigit",
            "islower", "isupper", "lower", "lstrip", "removeprefix", "removesuffix", "rstrip",
            "split", "splitlines", "startswith", "strip", "swapcase", "title", "upper", "key",
            "id", "slug"
        ]
    ),
    dict: frozenset({"get", "items", "keys", "values"}),
    list: frozenset({"count", "index"}),
    tuple: frozenset({"count", "index"}),
    LoopContext: frozenset(
        [
            "changed", "cycle", "depth", "depth0", "first", "index", "index0", "last", "length",
            "nextitem", "previtem", "revindex", "revindex0"
        ]
    ),
}
# fmt: on
_FORBIDDEN_NODES = (
    nodes.Macro,
    nodes.CallBlock,
    nodes.Import,
    nodes.FromImport,
    nodes.Extends,
    nodes.Block,
)


class MissingName(UndefinedError):
    """An undefined name or member was used. `owner` is None for a variable."""

    def __init__(self, message: str | None = None, *, name: str | None, owner: object) -> None:
        super().__init__(message)
        self.name = None if name is None else str(name)
        self.owner = owner


class TooMuch(SecurityError):
    """The template makes more than it may."""


class Meter:
    """What one rendering may still do."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = _WORK

    def charge(self, units: int) -> None:
        """Take `units`; raises TooMuch when none are left."""
        self.left -= units
        if self.left < 0:
            raise TooMuch("the template makes too much text or takes too many steps")


def _meter(context: Context) -> Meter:
    meter = context.parent[METER]
    assert isinstance(meter, Meter)
    return meter


def _length(value: object) -> int:
    return len(value) if isinstance(value, str | list | tuple | dict) else 0


class _Missing(StrictUndefined):
    def __init__(
        self,
        hint: str | None = None,
        obj: Any = missing,
        name: str | None = None,
        exc: type[Exception] = UndefinedError,
    ) -> None:
        super().__init__(hint, obj, name, exc)  # type: ignore[arg-type]
        if exc is UndefinedError:
            raised = partial(MissingName, name=name, owner=None if obj is missing else obj)
            self._undefined_exception = raised  # type: ignore[assignment]


def _scalar(value: object) -> Any:
    """Refuses to print what has no text: a list's own text would be Python's, and may be huge."""
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, Undefined):
        return str(value)
    if value is None:
        raise TooMuch("the value is empty (null); use | default('...')")
    if isinstance(value, list | tuple | dict):
        raise TooMuch("a list or mapping cannot be printed; use | join(', ') or one of its members")
    raise TooMuch("the value cannot be printed; is a pair of brackets missing?")


@pass_context
def _printed(context: Context, value: object) -> Any:
    value = _scalar(value)
    _meter(context).charge(_length(value))
    return value


@pass_context
def _join(context: Context, value: Any, separator: str = "") -> str:
    parts = [str(_scalar(part)) for part in _counted(context, value, 0)]
    size = sum(map(len, parts)) + len(parts) * len(separator)
    _meter(context).charge(size)
    return separator.join(parts)


@pass_context
def _replace(context: Context, value: Any, old: str, new: str) -> str:
    text = str(_scalar(value))
    _meter(context).charge(len(text) + text.count(old) * len(new))
    return text.replace(old, new)


@pass_context
def _counted(context: Context, value: Any, text: int) -> Iterator[Any]:
    """What a loop runs over; each turn costs a step and the text of the loop's body."""
    meter = _meter(context)
    for item in value:
        meter.charge(_STEP + text)
        yield item


@pass_context
def _spend(context: Context, nothing: object, units: int) -> object:
    _meter(context).charge(units)
    return nothing


def _metered(name: str, plain: Environment) -> Callable[..., Any]:
    is_text = name in _TEXT_FILTERS

    @pass_context
    def run(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        if is_text and not isinstance(value, Undefined):
            value = _scalar(value)
        _meter(context).charge(_STEP + _length(value))
        return plain.call_filter(name, value, args, kwargs, context)

    return run


class _Generator(CodeGenerator):
    """`a ~ b` goes through the environment, as the operators do."""

    @optimizeconst
    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self.write("environment.concatenated(context, (")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


class Sandbox(ImmutableSandboxedEnvironment):
    """The engine. A token's line number is its offset in the text, so that every error has its place."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "**", "%"})
    code_generator_class = _Generator

    def __init__(self, loader: Any) -> None:
        super().__init__(
            undefined=_Missing,
            finalize=_printed,
            autoescape=False,
            auto_reload=False,
            cache_size=-1,
            keep_trailing_newline=True,
            loader=loader,
            # The optimizer looks at all of `a.b.c.d` anew for each of its dots: seconds for a few hundred.
            optimized=False,
        )
        plain = Environment(autoescape=False)
        self.globals = {}
        self.filters = {name: _metered(name, plain) for name in _FILTERS}
        self.filters |= {
            "join": _join,
            "replace": _replace,
            "imgbuild_turns": _counted,
            "imgbuild_spend": _spend,
        }

    def _tokenize(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> TokenStream:
        return TokenStream(self.lexer.wrap(self._placed(source, name), name, filename), name, filename)

    def _placed(self, source: str, name: str | None) -> Iterator[tuple[int, str, str]]:
        at = 0
        try:
            for _, token, value in self.lexer.tokeniter(source, name):
                start = source.find(value, at)
                start = at if start < 0 else start
                yield start, token, value
                at = start + len(value)
        except TemplateSyntaxError as error:
            at += len(source[at:]) - len(source[at:].lstrip())
            raise TemplateSyntaxError(error.message or "syntax error", at, name) from None

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for node in tree.find_all(_FORBIDDEN_NODES):
            word = type(node).__name__.lower()
            raise TemplateSyntaxError(f"{word} is not available here; include is", node.lineno, name)
        for used in tree.find_all(nodes.Filter):
            if used.name.startswith("imgbuild_"):
                raise TemplateSyntaxError(f"No filter named {used.name!r}.", used.lineno, name)
        for loop in list(tree.find_all(nodes.For)):
            loop.iter = _call("imgbuild_turns", cast(nodes.Expr, loop.iter), _static_text(loop.body))
        spent = _call("imgbuild_spend", nodes.Const(0, lineno=1), _STEP + _static_text(tree.body))
        tree.body.insert(0, nodes.ExprStmt(spent, lineno=1))
        tree.set_environment(self)
        return tree

    def handle_exception(self, source: str | None = None) -> NoReturn:
        """Let errors through as they are: their places are read from them."""
        raise

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """An operator, unless its result would be large."""
        meter = _meter(context)
        meter.charge(_STEP)
        if isinstance(left, int) and isinstance(right, int):
            bits = (
                left.bit_length() * abs(right) if operator == "**" else left.bit_length() + right.bit_length()
            )
            if bits > _MAX_BITS or (operator == "**" and abs(right) > _MAX_BITS):
                raise TooMuch("the number is too large")
        elif operator == "%" and isinstance(left, str):
            raise TooMuch("texts are not formatted with %; use ~ to join them")
        elif operator == "*":
            for many, times in ((left, right), (right, left)):
                if isinstance(times, int):
                    meter.charge(_length(many) * max(times, 0))
        elif operator == "+":
            meter.charge(_length(left) + _length(right))
        return super().call_binop(context, operator, left, right)

    def concatenated(self, context: Context, parts: tuple[Any, ...]) -> str:
        """What `~` gives."""
        texts = [str(_scalar(part)) for part in parts]
        _meter(context).charge(_STEP + sum(map(len, texts)))
        return "".join(texts)

    def wrap_str_format(self, value: Any) -> None:
        """Formatting gets no wrapper: `str.format` is not among the methods that are listed."""

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Only what is listed: everything else is either dangerous or of no use in a prompt."""
        return any(isinstance(obj, kind) and attr in names for kind, names in _METHODS.items())

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`a.b`: a mapping's own members come before its methods."""
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """A method call; it costs what it is called on."""
        owner = getattr(__obj, "__self__", None)
        _meter(__context).charge(_STEP + _length(owner))
        return super().call(__context, __obj, *args, **kwargs)


def names_read(tree: nodes.Template) -> set[str]:
    """The names that a template does not set itself, as `jinja2.meta` finds them, less the optimizer."""
    generator = TrackingCodeGenerator(cast(Environment, tree.environment))
    generator.optimizer = None
    generator.visit(tree)
    return generator.undeclared_identifiers


def _call(name: str, value: nodes.Expr, units: int) -> nodes.Filter:
    line = value.lineno
    return nodes.Filter(value, name, [nodes.Const(units, lineno=line)], [], None, None, lineno=line)


def _static_text(body: list[nodes.Node]) -> int:
    return sum(len(data.data) for node in body for data in _all_text(node))


def _all_text(node: nodes.Node) -> Iterator[nodes.TemplateData]:
    if isinstance(node, nodes.TemplateData):
        yield node
    yield from node.find_all(nodes.TemplateData)
