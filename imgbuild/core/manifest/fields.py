"""What an image field's text may be: one parser a field, and the types that put them into the models."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, JsonValue, WithJsonSchema

from imgbuild.core.durations import DURATION_PATTERN, RATE_PATTERN, parse_duration, parse_rate
from imgbuild.core.fleet_address import FLEET_PATTERN, fleet_address
from imgbuild.core.image import Size

RESOLUTIONS = ("0.5k", "1k", "2k", "4k", "8k")
BACKGROUNDS = ("transparent", "opaque", "auto")
FOCI = ("attention", "entropy", "centre")
FITS = ("cover", "contain", "fill", "exact")
MAX_EDGE = 65_535
MAX_TAKES = 1_000
_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")
_RATIO = re.compile(r"[1-9][0-9]{0,4}:[1-9][0-9]{0,4}")
_ALPHA = re.compile(r"native|key:#[0-9a-fA-F]{6}")
_SHARE = r"(0(?:\.[0-9]{1,6})?|1(?:\.0{1,6})?|\.[0-9]{1,6})"
_POINT = re.compile(_SHARE + r",\s*" + _SHARE)
_WORD = re.compile(r"[^\s\x00-\x1f\x7f-\x9f]{1,100}")
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_API_KEY = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^{}]*)?\}")
# Names stand in ids, on command lines and in `@references`, which give these characters a meaning.
NAME_PATTERN = r"^[^\s\[\]{}*?@:,=#\\/'\"$<>|!&-][^\s\[\]{}*?@:,=#\\'\"$<>|!&]*$"
_NAME = re.compile(NAME_PATTERN)
_TEMPLATE_PATTERN = r"\{\{|\{%|\{#"


def is_template(text: str) -> bool:
    """True when the template engine has something to do."""
    return "{" in text and ("{{" in text or "{%" in text or "{#" in text)


def _one_of(words: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f'"{shown(text)}" is not one of {", ".join(words)}')
        return text

    return parse


def shown(text: str) -> str:
    """A text for a message: escaped and cut."""
    cut = text if len(text) <= 60 else text[:57] + "..."
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)


def parse_size(text: str) -> Size:
    """`1200x630` in pixels. ValueError for anything else."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f'"{shown(text)}" is no size; write WIDTHxHEIGHT in pixels, such as 1200x630')
    size = Size(int(match[1]), int(match[2]))
    if max(size.width, size.height) > MAX_EDGE:
        raise ValueError(f"{text} is larger than {MAX_EDGE} pixels on a side")
    return size


def parse_ratio(text: str) -> str:
    """`16:9`, or `auto`."""
    if text != "auto" and not _RATIO.fullmatch(text):
        raise ValueError(f'"{shown(text)}" is no ratio; write W:H, such as 16:9, or auto')
    return text


def parse_resolution(text: str) -> str:
    """One of the labels, in lower case."""
    if text.lower() not in RESOLUTIONS:
        raise ValueError(f'"{shown(text)}" is not one of {", ".join(RESOLUTIONS)}')
    return text.lower()


def parse_alpha(text: str) -> str:
    """`native`, or `key:#rrggbb`."""
    if not _ALPHA.fullmatch(text):
        raise ValueError(f'"{shown(text)}" is neither native nor a key colour such as key:#00ff00')
    return text.lower()


def parse_focus(text: str) -> str:
    """`attention`, `entropy`, `centre`, or a point as shares of width and height, such as `0.5,0.3`."""
    if text in FOCI:
        return text
    point = _POINT.fullmatch(text)
    if point is None:
        raise ValueError(f'"{shown(text)}" is neither {", ".join(FOCI)} nor a point such as 0.5,0.3')
    return f"{float(point[1]):g},{float(point[2]):g}"


def parse_word(text: str) -> str:
    """A service's own word: not empty, no spaces."""
    if not _WORD.fullmatch(text):
        raise ValueError(f'"{shown(text)}" is not one word')
    return text


def parse_seed(text: str) -> int:
    """A whole number of at most 64 bits."""
    if not _INTEGER.fullmatch(text) or not -(2**63) <= int(text) < 2**63:
        raise ValueError(f'"{shown(text)}" is no whole number of at most 64 bits')
    return int(text)


def parse_takes(text: str) -> int:
    """How many candidates: 1 to 1000."""
    if not _INTEGER.fullmatch(text) or not 1 <= int(text) <= MAX_TAKES:
        raise ValueError(f'"{shown(text)}" is no number from 1 to {MAX_TAKES}')
    return int(text)


def parse_line(text: str) -> str:
    """Text that is not empty."""
    if not text.strip():
        raise ValueError("is empty")
    return text


def parse_name(text: str) -> str:
    """An image's, preset's or provider's name."""
    if not _NAME.fullmatch(text) or len(text) > 200:
        raise ValueError(f'"{shown(text)}" cannot be a name; use letters, digits, "_", ".", "-" and "/"')
    return text


parse_background = _one_of(BACKGROUNDS)
parse_fit = _one_of(FITS)


def _unless_template(parse: Callable[[str], Any]) -> AfterValidator:
    # The raw text stays: what is written is validated here, what is rendered once it is rendered.
    def check(text: str) -> str:
        if not is_template(text):
            parse(text)
        return text

    return AfterValidator(check)


def _text_schema(**rules: Any) -> WithJsonSchema:
    template = {"type": "string", "pattern": _TEMPLATE_PATTERN}
    return WithJsonSchema({"anyOf": [{"type": "string", **rules}, template]})


def _number_or_template(parse: Callable[[str], int]) -> BeforeValidator:
    def check(value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError("must be a whole number")
        if not isinstance(value, str) or not is_template(value):
            parse(str(value))
        return value

    return BeforeValidator(check)


def _number_schema(**rules: Any) -> WithJsonSchema:
    template = {"type": "string", "pattern": _TEMPLATE_PATTERN}
    return WithJsonSchema({"anyOf": [{"type": "integer", **rules}, template]})


def _finite(value: Any) -> Any:
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, float) and not math.isfinite(node):
            raise ValueError("holds a number that is not finite")
        if isinstance(node, dict):
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)
    return value


def is_variable(text: str) -> bool:
    """True for exactly `${NAME}` or `${NAME:-default}`."""
    return _API_KEY.fullmatch(text) is not None


def _api_key(text: object) -> object:
    # The text itself never gets into the message: it may be a key.
    if not isinstance(text, str) or not is_variable(text):
        raise ValueError("must be exactly ${NAME} or ${NAME:-default}, never the key itself")
    return text


def _base_url(text: str) -> str:
    if not text.startswith("${"):
        address = re.fullmatch(r"(?i)https?://([^/?#\s]+)([^\s?#]*)", text)
        if address is None:
            raise ValueError("must be an http:// or https:// address without a query")
        if "@" in address[1]:
            raise ValueError("must not hold a user name or password; use api_key")
    return text


SizeText = Annotated[
    str, _unless_template(parse_size), _text_schema(pattern="^[1-9][0-9]{0,4}x[1-9][0-9]{0,4}$")
]
RatioText = Annotated[
    str, _unless_template(parse_ratio), _text_schema(pattern="^([1-9][0-9]{0,4}:[1-9][0-9]{0,4}|auto)$")
]
ResolutionText = Annotated[
    str, _unless_template(parse_resolution), _text_schema(pattern="^(0\\.5|1|2|4|8)[kK]$")
]
BackgroundText = Annotated[str, _unless_template(parse_background), _text_schema(enum=list(BACKGROUNDS))]
FitText = Annotated[str, _unless_template(parse_fit), _text_schema(enum=list(FITS))]
AlphaText = Annotated[
    str, _unless_template(parse_alpha), _text_schema(pattern="^(native|key:#[0-9a-fA-F]{6})$")
]
FocusText = Annotated[
    str,
    _unless_template(parse_focus),
    _text_schema(pattern=rf"^(attention|entropy|centre|{_SHARE},\s*{_SHARE})$"),
]
WordText = Annotated[str, _unless_template(parse_word), _text_schema(minLength=1)]
LineText = Annotated[str, _unless_template(parse_line), _text_schema(minLength=1)]
SeedNumber = Annotated[int | str, _number_or_template(parse_seed), _number_schema()]
TakesNumber = Annotated[
    int | str, _number_or_template(parse_takes), _number_schema(minimum=1, maximum=MAX_TAKES)
]
Json = Annotated[JsonValue, AfterValidator(_finite), WithJsonSchema({})]
ApiKey = Annotated[
    str,
    BeforeValidator(_api_key),
    WithJsonSchema({"type": "string", "pattern": r"^\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^{}]*)?\}$"}),
]
BaseUrl = Annotated[str, AfterValidator(_base_url), WithJsonSchema({"type": "string"})]
FleetAddress = Annotated[
    str, AfterValidator(fleet_address), WithJsonSchema({"type": "string", "pattern": FLEET_PATTERN})
]
Duration = Annotated[
    float, BeforeValidator(parse_duration), WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN})
]
Rate = Annotated[
    float | None, BeforeValidator(parse_rate), WithJsonSchema({"type": "string", "pattern": RATE_PATTERN})
]
