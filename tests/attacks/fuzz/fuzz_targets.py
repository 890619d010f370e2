"""Everything that reads what others wrote, each as one function of bytes, with valid inputs to begin from.

A target may raise imgbuild's own errors and, where that is its documented way to say no, a type that its caller
turns into one. Anything else is a finding.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from imgbuild.core.errors import ImgbuildError, ProviderFailure
from imgbuild.core.image import Json
from imgbuild.core.jobs import End, OpenJob, Stage, closed, expired, intent, ready, submitted, unknown
from imgbuild.core.lock import Lock, LockedImage, LockedOutput, LockedSource, parse_lock, render_lock
from imgbuild.core.manifest.load import load_project
from imgbuild.core.manifest.palette import parse_palette
from imgbuild.core.manifest.project import FileProblem
from imgbuild.core.manifest.source import Source, decode
from imgbuild.core.manifest.sources import read_items
from imgbuild.core.manifest.template import Templates
from imgbuild.core.manifest.template_parts import TemplateFailure
from imgbuild.core.redact import clean, clean_json
from imgbuild.core.retry import retry_after
from imgbuild.core.safepath import UnsafePath, safe_path
from imgbuild.core.sniff import sniff
from imgbuild.images.read_provenance import read_provenance
from imgbuild.images.xmp import merged, properties
from imgbuild.providers.answers import parse_json
from imgbuild.providers.base import FileResult, Finished, Pending, ProviderSettings
from imgbuild.providers.gemini import GeminiDialect
from imgbuild.providers.http_answer import parse as parse_described
from imgbuild.providers.http_description import read_description
from imgbuild.providers.jimmyai import JimmyaiDialect
from imgbuild.providers.jimmyai_sync import JimmyaiSyncDialect
from imgbuild.providers.kyy import KyyDialect
from imgbuild.providers.openai import OpenaiDialect
from imgbuild.providers.spill import discard, read_spilled
from imgbuild.providers.transport import api_base
from imgbuild.providers.uniall import UniallDialect
from imgbuild.run.resolution import provider_types, resolve_images
from imgbuild.run.trust import is_loopback, origin_of
from imgbuild.store.encoding import load, output_from_json, payment_from_json, pin_from_json, result_from_json
from imgbuild.store.index import Index
from imgbuild.store.journal import Journal
from imgbuild.store.remembered import Remembered
from imgbuild.store.workdir import FOLDER

DIGEST = "0123456789abcdef" * 4


@dataclass(frozen=True)
class Target:
    """A parser. `no`: the documented ways in which it refuses, besides imgbuild's own errors."""

    name: str
    run: Callable[[bytes], object]
    seeds: Sequence[bytes]
    no: tuple[type[Exception], ...] = ()

    def try_one(self, data: bytes) -> None:
        """Parse it. Raises whatever is a finding."""
        with suppress(ImgbuildError, *self.no):
            self.run(data)


class _Files:
    """A project in memory."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def read(self, path: str, limit: int) -> bytes:
        if path not in self._files:
            raise FileProblem("does not exist")
        return self._files[path][:limit]

    def glob(self, pattern: str) -> Sequence[str]:
        return sorted(name for name in self._files if name.endswith(pattern[-3:]))

    def problem(self, path: str) -> str | None:
        return None if path in self._files else "does not exist"

    def output_problem(self, path: str) -> str | None:
        return None


MANIFESTS = (
    b"""\
version: 1
providers:
  studio: {type: uniall, base_url: "https://x.example", api_key: "${KEY}", concurrency: 8, rate: 60/min, timeout: 300s}
defaults: {provider: studio, model: gpt-image-2, resolution: 1k, quality: low}
vars: {style: "flat vector"}
presets: {icon: {ratio: "1:1", background: transparent, prompt: "{{ subject }}, {{ style }}"}}
profiles: {final: {defaults: {quality: high}}}
budget: {max_cost: 5, confirm_above: 1}
images:
  hero: {prompt: "{{ style }}, skyline", size: 1200x630, output: static/hero.png, alt: "A skyline"}
  sprite:
    extends: icon
    matrix: {item: [sword, shield], tone: {warm: "warm light"}, exclude: [{item: sword, tone: warm}]}
    vars: {subject: "{{ item }} in {{ tone }}"}
    references: ["@hero"]
    output: assets/{{ item }}-{{ tone.key }}.webp
""",
    b"""\
version: 1
include: ["more.imgbuild.yaml"]
x-any: &base {quality: low, tags: [a, b]}
images:
  a:
    <<: *base
    prompt: >-
      a lighthouse
      at dusk
    size: 64x64
    output: a.png
    derive:
      - {widths: [16, 32], formats: [avif, webp], output: "a-{{ width }}.{{ format }}"}
      - {trim: true, pad: 2, pow2: true, scale: 0.25, kernel: nearest, palette: p.hex, output: a-pixel.png}
  posts:
    foreach: {csv: d.csv, as: post}
    prompt_file: p.j2
    output: "{{ post.id }}.jpg"
assets: images.json
atlases: {all: {images: "*", output: all.png, data: all.json, format: texturepacker-hash, padding: 2}}
""",
    b"""\
version: 1
providers:
  any:
    type: http
    base_url: http://127.0.0.1:1/v1
    api_key: ${KEY:-none}
    submit: {path: /make, json: {prompt: "{{ prompt }}", size: "{{ size }}"}, id: id, results: [data]}
    poll: {path: "/task/{id}", status: [status], results: [images]}
    statuses: {done: [ok], failed: [bad]}
    capabilities: {sizes: [64x64, 128x128]}
images:
  one: {prompt: p, size: 64x64, output: one.png, seed: 7, takes: 2, fit: contain, params: {a: [1, 2.5, null]}}
""",
)


def _manifest(data: bytes) -> None:
    files = _Files(
        {
            "imgbuild.yaml": data,
            "more.imgbuild.yaml": b"images: {b: {prompt: x, size: 8x8, output: b.png}}",
            "d.csv": b"id,title\none,One\ntwo,Two\n",
            "p.j2": b"{{ post.title }}",
            "p.hex": b"000000\nffffff\n",
        }
    )
    project = load_project("imgbuild.yaml", files)
    types, _ = provider_types(project)
    resolve_images(project, types, placeholder=False)


LOCK = render_lock(
    Lock(
        {
            "hero": LockedImage(
                key=DIGEST,
                take=1,
                provider="jimmyai",
                model="gpt-image-2",
                source=LockedSource(DIGEST, "png", 1536, 864),
                outputs={"static/hero.png": LockedOutput(DIGEST, 48213, 1200, 630)},
            )
        }
    )
).encode()


def _lock(data: bytes) -> None:
    lock = parse_lock(data.decode("utf-8", "replace"), "imgbuild.lock")
    render_lock(lock).encode()


def _journal(folder: Path) -> Callable[[bytes], object]:
    journal = Journal(folder)
    (folder / "jobs").mkdir(exist_ok=True)
    path = folder / "jobs" / f"{DIGEST}.jsonl"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        journal.open_jobs(DIGEST)
        journal.warnings()

    return run


_JOB = OpenJob(
    "j1", DIGEST, (1, 2), Stage.UNKNOWN, "uniall", "https://x.example", "hero", "/p", "2026-01-01",
    cost=0.01, unit="USD", draft={"spec": {"prompt": "x"}},
)  # fmt: skip
JOURNAL = b"".join(
    json.dumps(event).encode() + b"\n"
    for event in (
        intent(_JOB),
        submitted("j1", "t-1"),
        ready("j1", 1, {"digest": DIGEST}),
        expired("j1"),
        unknown("j1", "no answer"),
        closed("j1", End.STORED),
        intent(_JOB),
    )
)


def _items(kind: str) -> Callable[[bytes], object]:
    def run(data: bytes) -> None:
        source = Source(f"d.{kind}", decode(data))
        items, problems = read_items(kind, source, "d")
        for item in items:
            source.position(item.at)
        for problem in problems:
            source.line(source.position(problem.at).line)

    return run


MARKDOWN = b"---\ntitle: A ferry\nslug: ferry\ntags: [a, b]\ndate: 2026-01-01\n---\n\n# Text\n"
CSV = b'id,title,n\none,"One, quoted",1\ntwo,"Two\nlines",2\n'
JSON_ITEMS = b'{"items": [{"id": "one", "n": 1.5, "deep": {"a": [1, null, true]}}, {"id": "two"}]}'
YAML_ITEMS = b"one: {title: One, n: 0x1f}\ntwo: {title: 'Two', list: [1, 2]}\n"
TOML_ITEMS = (
    b'[[post]]\nid = "one"\nn = 1\nwhen = 2026-01-01T00:00:00Z\n[[post]]\nid = "two"\n[post.deep]\na.b = 1\n'
)

PALETTES = (
    b"h000000\n#ffffff\n7f7f7f\n",
    b"gGIMP Palette\nName: x\nColumns: 3\n#\n  0   0   0 Black\n255 255 255 White\n",
    b"pJASC-PAL\n0100\n2\n0 0 0\n255 255 255\n",
)


def _palette(data: bytes) -> None:
    kind = {b"h": "hex", b"g": "gpl", b"p": "pal"}.get(data[:1], "txt")
    parse_palette(data[1:].decode("utf-8", "replace"), f"x.{kind}")


def _template(data: bytes) -> None:
    templates = Templates({"part.j2": "{{ item.a }}"}.get)
    compiled = templates.compile(data.decode("utf-8", "replace"))
    templates.render(compiled, {"style": "flat", "item": {"a": 1, "b": [1, 2]}, "id": "hero", "name": "hero"})


TEMPLATES = (
    b"{{ style }}, {{ item.a }} at {{ item.b[0] }}",
    b"{% for x in item.b %}{{ loop.index }}{{ x | upper }}{% endfor %}{% if style == 'flat' %}y{% else %}z{% endif %}",
    b"{% set n = 3 %}{{ n * 2 + 1 }} {{ style | replace('f', 'g') | trim }} {% include 'part.j2' %}{# note #}",
    b"{{ '%s' | format(style) }}{{ style ~ item.a }}{{ item.b | join(', ') }}{{ [1, 2] | length }}",
)


def _sniff(data: bytes) -> None:
    sniff(data[: 1 << 20], data[-(1 << 16) :], len(data))


def _picture(folder: Path) -> Callable[[bytes], object]:
    path = folder / "picture"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        read_provenance(path)

    return run


def _xmp(data: bytes) -> None:
    properties(data)
    merged(data, XMP)


XMP = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" e:DigitalSourceType="x">'
    b"<e:AISystemUsed>m</e:AISystemUsed></rdf:Description></rdf:RDF></x:xmpmeta>\n"
    b'<?xpacket end="r"?>'
)


def _pictures() -> list[bytes]:
    from imgbuild.images.vips import pyvips

    image = pyvips.Image.black(8, 6, bands=3).cast("uchar").copy(interpretation="srgb")
    image = image.copy()
    image.set_type(pyvips.GValue.blob_type, "xmp-data", XMP)
    found = [image.write_to_buffer(ending) for ending in (".png", ".jpg", ".webp", ".avif", ".gif")]
    return [bytes(one) for one in found]


def _header(data: bytes) -> None:
    seconds = retry_after(data.decode("latin-1"), 1_700_000_000.0)
    assert seconds is None or 0 <= seconds <= 86_400, seconds


def _answers(parse: Callable[[Json, str | None], object]) -> Callable[[bytes], object]:
    """A dialect's answer, to a submission and to a poll."""

    def run(data: bytes) -> None:
        answer = parse_json(data)
        for asked in (None, "t-1"):
            outcome = parse(answer, asked)
            assert isinstance(outcome, Pending | Finished | ProviderFailure), outcome
            if isinstance(outcome, ProviderFailure):
                clean(outcome.message, ["sk-canary"])
            if isinstance(outcome, Finished):
                clean_json(dict(outcome.usage))

    return run


_FILE = FileResult(Path("picture"))
_DESCRIBED = read_description(
    {
        "submit": {
            "path": "/make",
            "json": {"prompt": "{{ prompt }}"},
            "id": ["data.task_id", "task_id"],
            "results": ["data"],
        },
        "poll": {
            "path": "/task/{id}",
            "status": ["data.status", "status"],
            "results": ["data.images[*].url", "data.images", "results"],
            "error": ["error", "msg"],
            "usage": ["usage"],
            "progress": ["data.progress"],
        },
        "ok": {"pointer": "code", "equals": ["0", "200"]},
    }
)

ANSWERS = tuple(
    json.dumps(answer).encode()
    for answer in (
        {"code": 0, "data": {"task_id": "t-1", "id": "t-1", "status": "processing", "progress": 40}},
        {"code": 200, "data": {"status": "completed", "images": [{"url": "https://c.example/1.png"}]}},
        {"status": "succeeded", "results": [{"url": "https://c.example/1.png"}], "usage": {"cost": 0.04}},
        {"task_id": "t-1", "state": "failed", "error": {"code": "content_policy", "message": "no"}},
        {"created": 1, "data": [{"b64_json": "iVBORw0KGgo="}, {"url": "https://c.example/2.png"}]},
        {
            "candidates": [
                {"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBOR"}}]}}
            ]
        },
        {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"totalTokenCount": 7}},
        {"error": {"message": "insufficient quota", "type": "x", "details": [{"retryDelay": "3s"}]}},
        {"code": 1, "msg": "bad", "data": '{"images": ["https://c.example/3.png"]}'},
    )
)


def _spill(folder: Path) -> Callable[[bytes], object]:
    numbers = iter(range(1 << 62))

    async def pieces(data: bytes) -> AsyncIterator[bytes]:
        step = max(1, len(data) // 3)
        for at in range(0, len(data), step):
            yield data[at : at + step]

    async def read(data: bytes) -> None:
        spilled = await read_spilled(pieces(data), lambda: folder / f"spilled-{next(numbers)}", limit=1 << 20)
        discard(spilled)

    def run(data: bytes) -> None:
        # Nothing in it ever waits: no loop is needed.
        with suppress(StopIteration):
            read(data).send(None)

    return run


SPILLED = (
    json.dumps(
        {"data": [{"b64_json": "iVBORw0KGgo" * 400}, {"b64_json": "data:image/png;base64,aGk="}]}
    ).encode(),
)


def _index(data: bytes) -> None:
    """With the checksum set right: what is torn is found by it before anything else is read."""
    magic = INDEX[: len(INDEX_MAGIC)]
    Index.unpack(magic + zlib.crc32(data).to_bytes(4, "little") + data)


INDEX = Index(
    ["1.0", "", "/cache", "token"], "idle", "{}", {"imgbuild.yaml": ((1, 2, 3, 4), bytes(32))}
).pack()
INDEX_MAGIC = INDEX[: INDEX.index(b"\n") + 1]


def _remembered(folder: Path) -> Callable[[bytes], object]:
    """What is read is what was kept, or nothing: the file came with a checkout, and its seal cannot be had."""
    kept = _kept(folder)
    path = folder / FOLDER / "memory"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        found = kept.read()
        assert found is None or found == MEMORY, found

    return run


def _kept(folder: Path) -> Remembered:
    return Remembered(folder, "memory", "1.0", {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder)})


def _memories(folder: Path) -> list[bytes]:
    _kept(folder).keep(MEMORY)
    return [(folder / FOLDER / "memory").read_bytes()]


MEMORY = {
    "context": DIGEST,
    "entries": {DIGEST: [14, [["a", {"prompt": "flat", "output": "a.png", "size": [64, 64]}]]]},
}


def _records(data: bytes) -> None:
    value = load(data)
    for read in (result_from_json, output_from_json, pin_from_json, payment_from_json):
        read(value)


RECORDS = tuple(
    json.dumps(record).encode()
    for record in (
        {
            "digest": DIGEST, "format": "png", "width": 1, "height": 1, "bytes": 1, "key": DIGEST, "take": 1,
            "spec": {"prompt": "x"}, "provider": "uniall", "image_id": "a", "created": "2026-01-01T00:00:00Z",
            "cost": 0.1, "unit": "USD", "usage": {"tokens": 3}, "declared": [DIGEST], "task": "t", "adopted": True,
        },
        {
            "digest": DIGEST, "format": "png", "width": 1, "height": 1, "bytes": 1, "recipe_key": DIGEST,
            "encoder": "png/1", "source": DIGEST,
        },
        {"url": "https://x.example/a.png", "digest": DIGEST},
        {
            "id": "j1", "image_id": "a", "project": "/p", "provider": "uniall", "created": "x",
            "outcome": "stored", "cost": 1, "unit": "USD",
        },
    )
)  # fmt: skip


def _base_url(data: bytes) -> None:
    """Whom a key is trusted with is decided by one reader of addresses, and sent by another."""
    text = data.decode("utf-8", "replace")
    base = api_base(ProviderSettings("studio", "openai", base_url=text, scratch=Path))
    sent_to = httpx.URL(base + "/images/generations")
    origin = origin_of(base)
    host = urlsplit(origin).hostname or ""
    try:
        named = httpx.URL(origin)
    except httpx.InvalidURL:
        raise AssertionError(f"trusted as {origin}, sent to {sent_to}") from None
    assert _whom(named) == _whom(sent_to), f"trusted as {origin}, sent to {sent_to}"
    if is_loopback(base):
        assert (
            host == "localhost" or sent_to.host in ("::1", "0:0:0:0:0:0:0:1") or is_loopback(str(sent_to))
        ), text


def _whom(url: httpx.URL) -> tuple[str, bytes, int]:
    return url.scheme, url.raw_host.lower(), url.port or {"http": 80, "https": 443}[url.scheme]


ADDRESSES = (
    b"https://api.example.com/v1",
    b"http://127.0.0.1:8080",
    b"http://localhost:99/v1/",
    b"http://[::1]:8080/x",
    b"https://user:pass@[::ffff:127.0.0.1]:1/a%2fb",
    "https://bücher.example。/".encode(),
)


def _path(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    for folder in ("", "art/deep"):
        path = safe_path(text, folder)
        assert safe_path(path) == path
        parts = path.split("/")
        assert path, text
        assert not {"", ".", "..", ".git", ".env"} & {part.casefold() for part in parts}, path
        path.encode()


PATHS = (
    b"static/img/hero.png",
    b"../art/x.webp",
    b"a/./b/../c.png",
    ".g\u200cit/x".encode(),
    b"C:/x.png",
    b"con.png",
)


def targets(folder: Path) -> Iterator[Target]:
    """All of them; `folder` is theirs, for parsers that read files."""
    yield Target("manifest", _manifest, MANIFESTS)
    yield Target("lock", _lock, [LOCK])
    yield Target("journal", _journal(folder), [JOURNAL])
    yield Target("markdown", _items("markdown"), [MARKDOWN], (UnicodeDecodeError,))
    yield Target("csv", _items("csv"), [CSV], (UnicodeDecodeError,))
    yield Target("json", _items("json"), [JSON_ITEMS], (UnicodeDecodeError,))
    yield Target("yaml", _items("yaml"), [YAML_ITEMS], (UnicodeDecodeError,))
    yield Target("toml", _items("toml"), [TOML_ITEMS], (UnicodeDecodeError,))
    yield Target("palette", _palette, PALETTES, (ValueError,))
    yield Target("template", _template, TEMPLATES, (TemplateFailure,))
    pictures = _pictures()
    yield Target("sniff", _sniff, pictures)
    yield Target("provenance", _picture(folder), pictures)
    yield Target("xmp", _xmp, [XMP])
    yield Target(
        "retry-after", _header, [b"120", b"1.5", b"Fri, 31 Dec 2027 23:59:59 GMT", b"Sunday, 06-Nov-94"]
    )
    unreadable = (ValueError, RecursionError)
    yield Target("answer jimmyai", _answers(JimmyaiDialect().parse), ANSWERS, unreadable)
    yield Target("answer kyy", _answers(KyyDialect().parse), ANSWERS, unreadable)
    yield Target("answer uniall", _answers(UniallDialect().parse), ANSWERS, unreadable)
    yield Target(
        "answer http",
        _answers(lambda answer, asked: parse_described(_DESCRIBED, answer, asked)),
        ANSWERS,
        unreadable,
    )
    for name, dialect in (
        ("answer openai", OpenaiDialect()),
        ("answer jimmyai-sync", JimmyaiSyncDialect()),
        ("answer gemini", GeminiDialect()),
    ):
        parse = dialect.parse
        yield Target(
            name,
            _answers(lambda answer, _asked, parse=parse: parse(answer, lambda _text: _FILE)),
            ANSWERS,
            unreadable,
        )
    yield Target("answer with pictures", _spill(folder), [*SPILLED, *ANSWERS], unreadable)
    yield Target("index", _index, [INDEX[len(INDEX_MAGIC) + 4 :]], (ValueError, TypeError, LookupError))
    yield Target("remembered", _remembered(folder), _memories(folder))
    yield Target("records", _records, RECORDS)
    yield Target("base_url", _base_url, ADDRESSES)
    yield Target("path", _path, PATHS, (UnsafePath,))
