"""Presets, profiles, variables, includes, matrix and foreach: what the images come to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from workbench import Workbench

from imgbuild.core.image import FileReference, Image, ImageReference, Size, UrlReference
from imgbuild.core.manifest.load import load_project
from imgbuild.run.files import DiskFiles

HEAD = "version: 1\nimages:\n"


def by_id(images: tuple[Image, ...]) -> dict[str, Image]:
    return {image.id: image for image in images}


def test_every_field(bench: Workbench) -> None:
    project = bench.load(
        """version: 1
images:
  hero:
    prompt: "  a hill at {{ time }}\\n"
    negative_prompt: text
    model: m
    size: 1200x630
    ratio: 1.9:1
    resolution: 1K
    quality: low
    background: auto
    format: png
    fit: contain
    upscale: true
    seed: "{{ n }}"
    takes: 4
    references: [r.png, "https://example.com/a.png", "@other"]
    mask: r.png
    params: {a: [1, {b: no}]}
    output: ./static//img/hero.png
    derive: [{widths: [480], formats: [webp], output: "img/{{ name }}-{{ width }}.{{ format }}"}]
    alpha: key:#00FF00
    alt: no
    tags: [a, b]
    embed_prompt: true
    vars: {time: dusk, n: 42}
    x-note: free
  other: {prompt: x, output: o.png}
  x-free: 5
""".replace("    ratio: 1.9:1\n", ""),
        {"r.png": b"x"},
    )
    hero = by_id(project.images)["hero"]
    assert hero.prompt == "a hill at dusk"
    assert hero.size == Size(1200, 630)
    assert (hero.resolution, hero.quality, hero.background) == ("1k", "low", "auto")
    assert (hero.seed, hero.takes, hero.fit, hero.upscale, hero.embed_prompt) == (
        42,
        4,
        "contain",
        True,
        True,
    )
    assert hero.references == (
        FileReference("r.png"),
        UrlReference("https://example.com/a.png"),
        ImageReference("other"),
    )
    assert hero.mask == FileReference("r.png")
    assert hero.params == {"a": [1, {"b": "no"}]}
    assert hero.output == "static/img/hero.png"
    assert (hero.alpha, hero.alt, hero.tags) == ("key:#00ff00", "no", ("a", "b"))
    assert hero.provider == "placeholder"
    assert [file.path for file in hero.derive] == ["img/hero-480.webp"]
    assert project.order.index("other") < project.order.index("hero")
    assert project.inputs == ("imgbuild.yaml",)


def test_unset_fields_stay_unset(bench: Workbench) -> None:
    image = bench.load(
        HEAD + "  a: {prompt: x, output: a.png, quality: ~}\ndefaults: {quality: low}\n"
    ).images[0]
    unset = [
        "negative_prompt",
        "model",
        "size",
        "ratio",
        "resolution",
        "quality",
        "background",
        "format",
        "seed",
        "mask",
        "alpha",
        "alt",
    ]
    assert all(getattr(image, name) is None for name in unset)


def test_an_unquoted_ratio_is_text(bench: Workbench) -> None:
    assert bench.load(HEAD + "  a: {prompt: x, output: a.png, ratio: 16:9}\n").images[0].ratio == "16:9"


def test_templates_in_any_text_field_are_checked_when_rendered(bench: Workbench) -> None:
    text = HEAD + "  a: {prompt: x, output: a.png, ratio: '{{ r }}', vars: {r: '%s'}}\n"
    assert bench.load(text % "16:9").images[0].ratio == "16:9"
    error = bench.error(text % "16/9")
    assert str(error.position) == "imgbuild.yaml:3:40"
    assert "is no ratio" in error.message


PRESETS = """version: 1
defaults: {quality: low, model: m}
vars: {style: flat, tone: grey}
presets:
  base: {ratio: 1:1, quality: base, vars: {tone: base}}
  icon: {extends: base, quality: icon, prompt: "{{ subject }}, {{ style }}, {{ tone }}"}
  dark: {vars: {tone: dark}, quality: dark}
profiles:
  final: {defaults: {quality: high, model: big}, vars: {style: oil}, budget: {max_cost: 9}}
images:
  a: {extends: icon, vars: {subject: A}, output: a.png}
  b: {extends: [icon, dark], vars: {subject: "{{ style }} B"}, output: b.png}
  c: {extends: [dark, icon], vars: {subject: C, style: own}, quality: c, output: c.png}
  d: {prompt: x, output: d.png}
"""


def test_layers(bench: Workbench) -> None:
    images = by_id(bench.load(PRESETS).images)
    assert [(i.quality, i.prompt, i.ratio, i.model) for i in images.values()] == [
        ("icon", "A, flat, base", "1:1", "m"),
        ("dark", "flat B, flat, dark", "1:1", "m"),
        ("c", "C, own, base", "1:1", "m"),
        ("low", "x", None, "m"),
    ]
    place = images["a"].origin.place("ratio")
    assert str(place.position) == "imgbuild.yaml:5:17"
    assert place.chain == ("preset base", "image a")
    assert images["d"].origin.place("quality").chain == ("defaults", "image d")
    assert str(images["d"].origin.place("seed").position) == "imgbuild.yaml:14:3"


def test_profiles_go_over_the_manifests_own(bench: Workbench) -> None:
    project = bench.load(PRESETS, profile="final")
    images = by_id(project.images)
    assert (images["d"].quality, images["d"].model) == ("high", "big")
    assert images["a"].quality == "icon"
    assert images["a"].prompt == "A, oil, base"
    assert project.manifest.budget is not None
    assert project.manifest.budget.max_cost == 9
    assert project.profile == "final"


def test_a_prompt_of_ones_own_takes_the_presets_prompt_file_back(bench: Workbench) -> None:
    image = bench.load(
        "version: 1\npresets: {p: {prompt_file: nowhere}}\nimages: {a: {extends: p, prompt: x, output: a.png}}\n"
    ).images[0]
    assert image.prompt == "x"


def test_matrix_ids_and_values(bench: Workbench) -> None:
    project = bench.load(
        HEAD
        + """  s:
    prompt: "{{ item }} in {{ tone }} of {{ tone.key }} as {{ id }} of {{ name }}"
    matrix:
      tone: {warm: "warm light", cold: 007}
      item: [sword, 1.0]
      exclude: [{item: 1.0, tone: cold}]
      include: [{tone: warm, item: crown}, {item: sword, tone: warm}]
    output: "{{ item }}-{{ tone.key }}.png"
"""
    )
    assert [(i.id, i.name, i.output) for i in project.images] == [
        ("s[item=sword,tone=warm]", "s", "sword-warm.png"),
        ("s[item=sword,tone=cold]", "s", "sword-cold.png"),
        ("s[item=1.0,tone=warm]", "s", "1.0-warm.png"),
        ("s[item=crown,tone=warm]", "s", "crown-warm.png"),
    ]
    assert project.images[1].prompt == "sword in 007 of cold as s[item=sword,tone=cold] of s"


ITEMS: list[tuple[str, dict[str, str], list[tuple[str, str]]]] = [
    ("items: [sword, 2.50]", {}, [("sword", "sword"), ("2.50", "2.50")]),
    ("items: [{id: 7, slug: s}, {slug: t}]", {}, [("7", "s"), ("t", "t")]),
    ("csv: d.csv", {"d.csv": 'id,slug,t\na,,"x\ny"\n\nb,bee,2\n'}, [("a", "a"), ("b", "bee")]),
    ("csv: d.csv", {"d.csv": "\ufeffid,t\r\na,1\r\nb\r\n"}, [("a", "a"), ("b", "b")]),
    ("json: d.json", {"d.json": '[{"id": "a\\ud83d\\ude00"}, {"slug": "b"}, "c"]'}, [("a😀", "a😀"), ("b", "b"), ("c", "c")]),
    ("json: d.json", {"d.json": '{"cards": [{"id": "a"}]}'}, [("a", "a")]),
    ("json: d.json", {"d.json": '{"a": {"t": 1}, "b": {"slug": "q"}}'}, [("a", "a"), ("b", "q")]),
    ("json: 'd/*.json'", {"d/one.json": '{"t": 1}', "d/two.json": '{"t": 2}'}, [("one", "one"), ("two", "two")]),
    ("yaml: d.yaml", {"d.yaml": "- id: no\n- id: 012\n"}, [("no", "no"), ("12", "12")]),
    ("toml: d.toml", {"d.toml": "[[card]]\nid = 'a'\nday = 2024-01-01\n[[card]]\nid = 'b'\n"}, [("a", "a"), ("b", "b")]),
    (
        "markdown: 'posts/**/*.md'",
        {"posts/a.md": "---\nslug: one\n---\nx\n", "posts/x/b.md": "no front matter", "posts/.h/c.md": "", "posts/d.txt": ""},
        [("one", "one"), ("b", "b")],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("source", "files", "expected"), ITEMS)
def test_foreach_sources(
    bench: Workbench, source: str, files: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    text = (
        HEAD
        + f"  a: {{prompt: '{{{{ item.slug }}}}', output: '{{{{ item.slug }}}}.png', foreach: {{{source}}}}}\n"
    )
    project = bench.load(text, files)
    assert [(i.id, i.prompt) for i in project.images] == [(f"a[{id_}]", slug) for id_, slug in expected]
    assert set(project.inputs) <= {"imgbuild.yaml", *files}


def test_a_foreach_without_items_is_no_image(bench: Workbench) -> None:
    text = (
        HEAD
        + "  a: {prompt: '{{ p.x }}', output: '{{ p.slug }}.png', foreach: {markdown: 'c/*.md', as: p}}\n"
    )
    assert bench.load(text).images == ()
    error = bench.error(text + "  b: {prompt: x, output: b.png, references: ['@a']}\n")
    assert error.hint == "its source has no items"


def test_foreach_with_a_name_and_a_prompt_file(bench: Workbench) -> None:
    project = bench.load(
        HEAD
        + "  og:\n    foreach: {markdown: 'c/*.md', as: post}\n    prompt_file: p/{{ post.kind }}.j2\n"
        + "    output: og/{{ post.slug }}.jpg\nvars: {style: flat, other: '{{ style }} {{ post.title }}'}\n",
        {
            "c/a.md": "---\ntitle: A\nkind: k\ndate: 2024-01-01\n---\n",
            "c/b.md": "---\ntitle: B\nkind: l\n---\n",
            "p/k.j2": "{{ post.title }}, {{ style }}, {{ post.date }}\n",
            "p/l.j2": "{% include 'p/part.j2' %}\n",
            "p/part.j2": "part {{ other }}",
        },
    )
    assert [(i.id, i.prompt) for i in project.images] == [
        ("og[a]", "A, flat, 2024-01-01"),
        ("og[b]", "part flat B"),
    ]
    assert project.globs == ("c/*.md",)
    assert "p/part.j2" in project.inputs


def test_includes(bench: Workbench) -> None:
    project = bench.load(
        """version: 1
vars: {style: flat, tone: root}
defaults: {quality: low}
presets: {icon: {ratio: 1:1}}
include: ["art/**/*.imgbuild.yaml"]
images:
  hero: {prompt: x, output: hero.png, references: ["@cards/ace"]}
""",
        {
            "art/cards/c.imgbuild.yaml": """namespace: cards
vars: {tone: cards}
presets: {card: {extends: icon, prompt_file: p.j2}}
images:
  ace: {extends: card, output: out/ace.png, references: [r.png]}
  king: {extends: icon, prompt: "{{ style }} {{ tone }}", output: ../king.png, references: ["@ace", "@hero2"]}
""",
            "art/cards/p.j2": "card {% include 'q.j2' %}",
            "art/cards/q.j2": "{{ style }} {{ name }}",
            "art/cards/r.png": b"x",
            "art/plain.imgbuild.yaml": "version: 1\nimages: {hero2: {prompt: y, output: h.png}}\n",
        },
    )
    images = by_id(project.images)
    assert list(images) == ["hero", "cards/ace", "cards/king", "hero2"]
    assert images["hero"].references == (ImageReference("cards/ace"),)
    assert images["cards/ace"].prompt == "card flat cards/ace"
    assert images["cards/ace"].output == "art/cards/out/ace.png"
    assert images["cards/ace"].references == (FileReference("art/cards/r.png"),)
    assert images["cards/king"].prompt == "flat cards"
    assert images["cards/king"].output == "art/king.png"
    assert images["cards/king"].references == (ImageReference("cards/ace"), ImageReference("hero2"))
    assert images["hero2"].output == "art/h.png"
    assert {i.quality for i in images.values()} == {"low"}


@pytest.mark.parametrize(
    ("included", "place"),
    [
        ("images: {a: {prompt: x, output: b.png}}\n", "art/c.imgbuild.yaml:1:10"),
        ("images: {b: {prompt: x, output: ../a.png}}\n", "art/c.imgbuild.yaml:1:33"),
        ("images: {b: {prompt: x, output: ../../a.png}}\n", "art/c.imgbuild.yaml:1:33"),
        ("images: {b: {prompt: x, output: c.imgbuild.yaml}}\n", "art/c.imgbuild.yaml:1:33"),
        ("include: [x]\n", "art/c.imgbuild.yaml:1:1"),
        ("providers: {}\n", "art/c.imgbuild.yaml:1:1"),
        ("namespace: a b\n", "art/c.imgbuild.yaml:1:12"),
        ("images: [\n", "art/c.imgbuild.yaml:2:1"),
    ],
)
def test_mistakes_in_included_files(bench: Workbench, included: str, place: str) -> None:
    error = bench.error(
        "version: 1\ninclude: ['art/*.imgbuild.yaml']\nimages: {a: {prompt: x, output: a.png}}\n",
        {"art/c.imgbuild.yaml": included},
    )
    assert str(error.position) == place


def test_provider_choice(bench: Workbench) -> None:
    image = "images: {a: {prompt: x, output: a.png%s}}\n"
    one = "version: 1\nproviders: {p: {type: openai}}\n" + image
    two = "version: 1\nproviders: {p: {type: openai}, q: {type: gemini}}\n" + image
    assert bench.load(one % "").images[0].provider == "p"
    assert bench.load(one % ", provider: placeholder").images[0].provider == "placeholder"
    assert bench.load(two % "" + "defaults: {provider: q}\n").images[0].provider == "q"
    assert bench.load("version: 1\n" + image % "").images[0].provider == "placeholder"


def test_provider_settings(bench: Workbench) -> None:
    project = bench.load(
        """version: 1
providers:
  studio:
    type: jimmyai
    base_url: ${URL:-https://example.com}
    api_key: ${KEY}
    rate: 60/min
    timeout: 0.2s
    deadline: 15min
    poll_interval: 50ms
    pricing: {unit: USD, per_image: {low: 0.01}}
    x-note: 1
  free: {type: placeholder, rate: none}
"""
    )
    studio = project.providers["studio"]
    assert (studio.base_url, studio.api_key) == ("${URL:-https://example.com}", "${KEY}")
    assert (studio.rate, studio.timeout, studio.deadline, studio.poll_interval) == (1.0, 0.2, 900.0, 0.05)
    assert project.providers["free"].rate is None


def test_a_variable_outside_of_providers_is_plain_text(bench: Workbench) -> None:
    assert bench.load(HEAD + "  a: {prompt: '${HOME}', output: a.png}\n").images[0].prompt == "${HOME}"


def test_disabled_images_are_left_out(bench: Workbench) -> None:
    text = HEAD + "  a: {prompt: x, output: a.png, enabled: false}\n  b: {prompt: x, output: a.png}\n"
    assert [i.id for i in bench.load(text).images] == ["b"]


def test_a_long_chain_of_references(bench: Workbench) -> None:
    entries = [f"  i{n}: {{prompt: x, output: '{n}.png', references: ['@i{n + 1}']}}\n" for n in range(3000)]
    project = bench.load(HEAD + "".join(entries) + "  i3000: {prompt: x, output: z.png}\n")
    assert project.order[0] == "i3000"
    assert project.order[-1] == "i0"


def test_names_in_positions_begin_with_the_display_root(bench: Workbench) -> None:
    image = bench.load(HEAD + "  a: {prompt: x, output: a.png}\n", display_root="sub/dir").images[0]
    assert image.origin.place("prompt").position.file == "sub/dir/imgbuild.yaml"


WORD = st.text(alphabet="abcxyz", min_size=1, max_size=4)
AXES = st.dictionaries(
    WORD.map("v_".__add__), st.lists(WORD, min_size=1, max_size=3, unique=True), min_size=1, max_size=3
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(axes=AXES, data=st.data())
def test_ids_and_images_do_not_depend_on_the_order_of_keys(
    tmp_path: Path, axes: dict[str, list[str]], data: Any
) -> None:
    def load(order: list[str], fields: list[str]) -> dict[str, Image]:
        texts = {
            "prompt": "'" + " ".join(f"{{{{ {name} }}}}" for name in sorted(axes)) + "'",
            "output": "'" + "-".join(f"{{{{ {name} }}}}" for name in sorted(axes)) + ".png'",
            "matrix": "{" + ", ".join(f"{name}: [{', '.join(axes[name])}]" for name in order) + "}",
        }
        text = HEAD + "  a: {" + ", ".join(f"{field}: {texts[field]}" for field in fields) + "}\n"
        (tmp_path / "imgbuild.yaml").write_text(text)
        return by_id(load_project("imgbuild.yaml", DiskFiles(tmp_path)).images)

    names, fields = sorted(axes), ["prompt", "output", "matrix"]
    assert load(names, fields) == load(data.draw(st.permutations(names)), data.draw(st.permutations(fields)))
