"""The manifest's models: frozen, strict, described. They are the source of its JSON Schema."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator, model_validator

from imgbuild.core.manifest.base_model import Model, without_extensions
from imgbuild.core.manifest.capability_model import CapabilitiesConfig
from imgbuild.core.manifest.fields import (
    AlphaText,
    ApiKey,
    BackgroundText,
    BaseUrl,
    Duration,
    FitText,
    FleetAddress,
    FocusText,
    Json,
    LineText,
    Rate,
    RatioText,
    ResolutionText,
    SeedNumber,
    SizeText,
    TakesNumber,
    WordText,
)
from imgbuild.core.manifest.output_model import Atlas, C2pa, Derive, NineSlice, TableOrPath
from imgbuild.core.manifest.remote_fields import ScopeText, check_remote
from imgbuild.core.manifest.service_model import AuthOrNone, Ok, Poll, Statuses, Submit

MIN_POLL_INTERVAL = 0.05
MIN_CLAIM_TIME = 0.5


class Pricing(Model):
    """What an image costs, instead of the built-in estimates."""

    unit: str = Field("USD", description="What the amounts are in.", examples=["USD", "credits"])
    per_image: Annotated[float, Field(ge=0)] | dict[str, Annotated[float, Field(ge=0)]] = Field(
        description="One amount, or one for each quality.", examples=[0.04, {"low": 0.01, "high": 0.17}]
    )


class ProviderConfig(Model):
    """How to reach a service or a local engine. `${NAME}` and `${NAME:-default}` are filled in from the
    environment when something is sent; here they stand as written. Durations are seconds."""

    type: str = Field(
        description="What it speaks.", examples=["openai", "gemini", "jimmyai", "http", "command"]
    )
    base_url: BaseUrl | None = Field(
        None, description="The service's address, where the type has no public default.",
        examples=["https://www.jimmyai.cn"],
    )  # fmt: skip
    api_key: ApiKey | None = Field(
        None,
        description="The variable that holds the key, never the key itself.",
        examples=["${OPENAI_API_KEY}"],
    )
    concurrency: int | None = Field(
        None, ge=1, le=10_000, description="Generations in flight at most.", examples=[8]
    )
    rate: Rate = Field(
        None, description="Requests per s, min or h at most, or none.", examples=["60/min", "none"]
    )
    timeout: Duration | None = Field(None, description="The limit of one request.", examples=["300s"])
    deadline: Duration | None = Field(
        None, description="The limit of one task, from submission to result.", examples=["15min"]
    )
    poll_interval: Duration | None = Field(
        None, ge=MIN_POLL_INTERVAL, description="Between two looks at a task; at least 50ms.", examples=["3s"]
    )
    pricing: Pricing | None = Field(
        None, description="Prices for the estimate.", examples=[{"unit": "USD", "per_image": {"low": 0.01}}]
    )
    command: str | list[str] | None = Field(
        None, description="Type command: the program and its arguments.", examples=[["python", "draw.py"]]
    )
    submit: Submit | None = Field(
        None, description="Type http: the request that starts a generation, and where its answer holds what.",
        examples=[{"path": "/v1/images", "json": {"prompt": "{{ prompt }}"}, "id": "data.task_id"}],
    )  # fmt: skip
    poll: Poll | None = Field(
        None, description="Type http: the request that asks for a task; none if submit gives the results.",
        examples=[{"path": "/v1/images/{id}", "status": "data.status", "results": "data.url"}],
        validate_default=True,
    )  # fmt: skip
    auth: AuthOrNone | None = Field(
        None, description="Type http: the header for the key, or none where no key is needed.",
        examples=[{"header": "X-Api-Key", "format": "{key}"}, "none"],
    )  # fmt: skip
    ok: Ok | None = Field(
        None, description="Type http: how an answer under HTTP 200 says that it is no error.",
        examples=[{"pointer": "code", "equals": ["20000"]}],
    )  # fmt: skip
    statuses: Statuses | None = Field(
        None, description="Type http: status words besides the usual ones.", examples=[{"done": ["SHIPPED"]}]
    )
    capabilities: CapabilitiesConfig | None = Field(
        None,
        description="Types http and command: what can be asked for.",
        examples=[{"sizes": ["1024x1024"]}],
    )
    options: dict[str, Json] | None = Field(
        None, description="More settings of the type.", examples=[{"device": "cuda"}]
    )

    @field_validator("poll")
    @classmethod
    def _joins_submit(cls, poll: Poll | None, info: ValidationInfo) -> Poll | None:
        submit = info.data.get("submit")
        if poll is not None and "submit" in info.data:
            if submit is None:
                raise ValueError("asks for what nothing submits: submit is missing")
            if submit.id is None:
                raise ValueError("needs the id of the task: submit has no id, such as data.task_id")
        if submit is not None and submit.results is None and (poll is None or poll.results is None):
            where = "submit" if poll is None else "poll"
            raise ValueError(f"{where} has no results: where its answer holds them, such as data.url")
        return poll

    @model_validator(mode="after")
    def _complete(self) -> ProviderConfig:
        if self.type == "http" and self.submit is None:
            raise ValueError("type http needs submit: the request that starts a generation")
        if self.type == "http" and self.base_url is None:
            raise ValueError("type http needs base_url: there is no public default")
        if self.auth == "none" and self.api_key is not None:
            raise ValueError("auth: none sends no key: leave api_key out")
        return self


class Foreach(Model):
    """One image for each item of a source. Exactly one source is given."""

    markdown: str | None = Field(
        None, description="Files whose front matter is an item each.", examples=["content/posts/**/*.md"]
    )
    csv: str | None = Field(None, description="A table with a header line.", examples=["data/cards.csv"])
    json_: str | None = Field(
        None, alias="json", description="A JSON list of items.", examples=["data/cards.json"]
    )
    yaml: str | None = Field(None, description="A YAML list of items.", examples=["data/cards.yaml"])
    toml: str | None = Field(
        None, description="A TOML file with an array of tables.", examples=["data/cards.toml"]
    )
    items: list[Json] | None = Field(
        None, description="The items themselves.", examples=[["sword", {"id": "crown", "metal": "gold"}]]
    )
    as_: str = Field(
        "item", alias="as", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="The item's name in templates.", examples=["post"],
    )  # fmt: skip


_AXIS_VALUE = {"type": ["string", "number", "boolean"]}
_COMBINATIONS = {"type": "array", "items": {"type": "object", "additionalProperties": _AXIS_VALUE}}
Matrix = Annotated[
    dict[str, Json],
    WithJsonSchema(
        {
            "type": "object",
            "properties": {
                "exclude": {
                    "description": "Combinations to leave out; keys left out match all.",
                    **_COMBINATIONS,
                },
                "include": {"description": "Combinations to add.", **_COMBINATIONS},
            },
            "patternProperties": {"^x-": {}},
            "additionalProperties": {
                "description": "An axis: a list of values, or keys (for the ids) and values.",
                "anyOf": [
                    {"type": "array", "minItems": 1, "items": _AXIS_VALUE},
                    {"type": "object", "minProperties": 1, "additionalProperties": _AXIS_VALUE},
                ],
            },
        }
    ),
]
Vars = dict[str, Json]


class Defaults(Model):
    """Fields that every image has unless it, or a preset of it, says otherwise."""

    prompt: LineText | None = Field(
        None, description="What to draw.", examples=["{{ style }}, skyline at dusk"]
    )
    prompt_file: LineText | None = Field(
        None, description="A file that holds the prompt.", examples=["prompts/og.j2"]
    )
    negative_prompt: str | None = Field(None, description="What not to draw.", examples=["text, watermark"])
    model: LineText | None = Field(
        None, description="The service's name of a model.", examples=["gpt-image-2"]
    )
    provider: LineText | None = Field(None, description="A name under `providers`.", examples=["studio"])
    size: SizeText | None = Field(
        None, description="The finished output's exact size.", examples=["1200x630"]
    )
    ratio: RatioText | None = Field(None, description="Width to height, or auto.", examples=["16:9"])
    resolution: ResolutionText | None = Field(None, description="The model's size class.", examples=["1k"])
    quality: WordText | None = Field(None, description="The service's word for it.", examples=["low", "high"])
    background: BackgroundText | None = Field(
        None, description="What is behind the subject.", examples=["transparent"]
    )
    format: WordText | None = Field(
        None, description="What the service is asked to encode; the output's extension decides the file.",
        examples=["png"],
    )  # fmt: skip
    fit: FitText | None = Field(
        None,
        description="How a generation is brought to `size`; exact refuses any other.",
        examples=["cover"],
    )
    upscale: bool | None = Field(
        None, description="Accept a smaller generation, enlarged, where no model covers the size.",
        examples=[True],
    )  # fmt: skip
    seed: SeedNumber | None = Field(None, description="The generator's seed.", examples=[42])
    takes: TakesNumber | None = Field(
        None, description="Number of candidates; the lock pins the picked one.", examples=[4]
    )
    references: list[LineText] | None = Field(
        None, description='Pictures to go by: files, http(s) URLs, or "@id" of another image.',
        examples=[["refs/style.png", "@hero"]],
    )  # fmt: skip
    mask: LineText | None = Field(
        None, description="Where to draw, as a picture.", examples=["refs/mask.png"]
    )
    params: dict[str, Json] | None = Field(
        None, description="Handed to the provider as they are.", examples=[{"moderation": "low"}]
    )
    output: LineText | None = Field(
        None, description="The finished file, relative to the file that names it.",
        examples=["static/img/hero.png"],
    )  # fmt: skip
    derive: list[Derive] | None = Field(
        None, description="More files made from the picture.",
        examples=[[{"widths": [480, 960], "output": "img/hero-{{ width }}.webp"}]],
    )  # fmt: skip
    alpha: AlphaText | None = Field(
        None, description="How transparency comes about: native, or by cutting a key colour out.",
        examples=["native", "key:#00ff00"],
    )  # fmt: skip
    focus: FocusText | None = Field(
        None, description="What is kept where the picture is cut: attention, entropy, centre, or x,y.",
        examples=["attention", "0.5,0.3"],
    )  # fmt: skip
    nine_slice: NineSlice | None = Field(
        None, description="Borders of the output that are not stretched: left, top, right, bottom.",
        examples=[12, [12, 8, 12, 8]],
    )  # fmt: skip
    alt: str | None = Field(None, description="The alternative text.", examples=["A skyline at dusk"])
    tags: list[LineText] | None = Field(None, description="Words to select by: tag:x.", examples=[["hero"]])
    embed_prompt: bool | None = Field(
        None, description="Write prompt, model and key into the files' metadata.", examples=[True]
    )
    vars: Vars | None = Field(
        None, description="Values for templates; they may be templates.", examples=[{"style": "flat vector"}]
    )


class Preset(Defaults):
    """Fields that the images share which extend it."""

    extends: str | list[str] | None = Field(
        None,
        description="Presets to begin with; of several the later wins.",
        examples=["icon", ["icon", "draft"]],
    )
    matrix: Matrix | None = Field(
        None,
        description="One image for each combination of the axes' values.",
        examples=[{"item": ["sword", "shield"], "tone": {"warm": "warm light", "cold": "cold light"}}],
    )
    foreach: Foreach | None = Field(
        None, description="One image for each item of a source.",
        examples=[{"markdown": "content/posts/**/*.md", "as": "post"}],
    )  # fmt: skip
    enabled: bool | None = Field(None, description="false leaves the image out.", examples=[False])


class ImageEntry(Preset):
    """An image, or with `matrix` or `foreach` a family of them."""


class Budget(Model):
    """Limits of what one build may cost, in the pricing unit."""

    max_cost: float | None = Field(None, ge=0, description="A build stops before more.", examples=[5])
    confirm_above: float | None = Field(None, ge=0, description="A build asks before more.", examples=[1])


class CacheConfig(Model):
    """Where results are kept besides the project."""

    dir: str | None = Field(
        None, min_length=1, description="The local folder, instead of the user's.", examples=["../cache"]
    )
    remote: str | None = Field(
        None, pattern=r"^(s3|gs|az|file|https?)://.+", description="A cache shared by machines.",
        examples=["s3://bucket/prefix"],
    )  # fmt: skip
    remote_write: bool | None = Field(
        None, description="Write to the shared cache; unset means yes, but not with CI=true.", examples=[True]
    )
    write_scope: ScopeText | None = Field(
        None,
        description="Whose records are written: main, or a name of less trust; it may be a variable.",
        examples=["main", "${CACHE_SCOPE:-main}"],
    )
    auth: ApiKey | None = Field(
        None, description="http(s): the variable that holds user:password, or a token.",
        examples=["${CACHE_AUTH}"],
    )  # fmt: skip
    sign: ApiKey | None = Field(
        None, description="The variable that holds the secret that records are signed with.",
        examples=["${CACHE_SECRET}"],
    )  # fmt: skip
    timeout: Duration | None = Field(
        None, description="How long the shared cache may take to answer (10s).", examples=["10s"]
    )
    claim_time: Duration | None = Field(
        None, ge=MIN_CLAIM_TIME, description="Others go on for a builder not heard of so long (60s).",
        examples=["60s"],
    )  # fmt: skip

    @field_validator("remote")
    @classmethod
    def _safe_remote(cls, remote: str | None) -> str | None:
        if remote is not None:
            check_remote(remote)
        return remote


class Dask(Model):
    """A Dask cluster that does what is free: local engines, and files made from pictures."""

    address: FleetAddress = Field(
        description="The scheduler's address; used once you have agreed to it.",
        examples=["tcp://scheduler:8786"],
    )


class Profile(Model):
    """What is different with `--profile NAME`."""

    defaults: Defaults | None = Field(
        None, description="Go over the manifest's.", examples=[{"quality": "high"}]
    )
    vars: Vars | None = Field(
        None, description="Values for templates; they may be templates.", examples=[{"style": "flat vector"}]
    )
    budget: Budget | None = Field(None, description="Instead of the manifest's.", examples=[{"max_cost": 20}])
    c2pa: C2pa | None = Field(
        None, description="Instead of the manifest's.",
        examples=[{"certificate": "certs/signing.pem", "key": "${IMGBUILD_C2PA_KEY}"}],
    )  # fmt: skip


_Free = BeforeValidator(without_extensions)


def _is_one(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be 1")
    return value


Version = Annotated[Literal[1], BeforeValidator(_is_one), WithJsonSchema({"type": "integer", "const": 1})]


class IncludedManifest(Model):
    """A file that another manifest includes; it sees that one's vars, defaults, presets and providers."""

    version: Version | None = Field(None, description="The format's version.", examples=[1])
    namespace: str | None = Field(None, description="Goes before its ids, with a slash.", examples=["cards"])
    vars: Vars | None = Field(
        None, description="Values for templates; they may be templates.", examples=[{"style": "flat vector"}]
    )
    defaults: Defaults | None = Field(
        None, description="Fields of all its images.", examples=[{"ratio": "1:1"}]
    )
    presets: Annotated[dict[str, Preset], _Free] | None = Field(
        None, description="Fields for images to extend.", examples=[{"icon": {"ratio": "1:1"}}]
    )
    images: Annotated[dict[str, ImageEntry], _Free] | None = Field(
        None,
        description="The images by name.",
        examples=[{"hero": {"prompt": "a hill", "output": "hero.png"}}],
    )


class Manifest(Model):
    """Images that are generated, and how."""

    version: Version = Field(description="The format's version.", examples=[1])
    providers: Annotated[dict[str, ProviderConfig], _Free] | None = Field(
        None, description="Services and local engines by name; without any, placeholders are drawn.",
        examples=[{"studio": {"type": "openai", "api_key": "${OPENAI_API_KEY}"}}],
    )  # fmt: skip
    defaults: Defaults | None = Field(
        None, description="Fields of all images.", examples=[{"provider": "studio", "quality": "low"}]
    )
    vars: Vars | None = Field(
        None, description="Values for templates; they may be templates.", examples=[{"style": "flat vector"}]
    )
    presets: Annotated[dict[str, Preset], _Free] | None = Field(
        None, description="Fields for images to extend.", examples=[{"icon": {"ratio": "1:1"}}]
    )
    profiles: Annotated[dict[str, Profile], _Free] | None = Field(
        None,
        description="Variants, chosen with --profile.",
        examples=[{"draft": {"defaults": {"quality": "low"}}}],
    )
    budget: Budget | None = Field(
        None, description="Cost limits.", examples=[{"max_cost": 5, "confirm_above": 1}]
    )
    cache: CacheConfig | None = Field(
        None, description="Where results are kept.", examples=[{"dir": "../cache"}]
    )
    dask: Dask | None = Field(
        None,
        description="Machines that do the local work.",
        examples=[{"address": "tcp://scheduler:8786"}],
    )
    include: list[str] | None = Field(
        None, description="Manifests to join, as paths or globs.", examples=[["art/**/*.imgbuild.yaml"]]
    )
    images: Annotated[dict[str, ImageEntry], _Free] | None = Field(
        None,
        description="The images by name.",
        examples=[{"hero": {"prompt": "a hill", "output": "hero.png"}}],
    )
    c2pa: C2pa | None = Field(
        None, description="Signs every picture with content credentials.",
        examples=[{"certificate": "certs/signing.pem", "key": "${IMGBUILD_C2PA_KEY}"}],
    )  # fmt: skip
    assets: TableOrPath | None = Field(
        None, description="A table of what a page needs to know of each image: .json, .ts or .d.ts.",
        examples=["data/images.json", {"output": "src/_data/images.json", "root": "static", "url": "/"}],
    )  # fmt: skip
    atlases: Annotated[dict[str, Atlas], _Free] | None = Field(
        None, description="Images packed into one.",
        examples=[{"icons": {"images": "sprite*", "output": "icons.png", "data": "icons.json"}}],
    )  # fmt: skip
