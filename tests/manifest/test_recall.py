"""Loading through what is remembered of a manifest's entries gives what loading from nothing gives."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from workbench import Workbench

from imgbuild.core.errors import ManifestError
from imgbuild.core.manifest.load import load_project
from imgbuild.core.manifest.project import Project
from imgbuild.core.manifest.recall import Memory
from imgbuild.run.files import DiskFiles

HEAD = "version: 1\nvars: {style: flat}\npresets:\n  icon: {size: 64x64, tags: [icon]}\nimages:\n"
FOOT = "x-notes: 'the end'\nbudget: {max_cost: 5}\n"


def plain(number: int) -> str:
    return f"  item{number}:\n    prompt: '{{{{ style }}}} thing {number}'\n    output: out/{number}.png\n"


# Entries that are not as plain as they look, wrong ones among them; NAME is the entry's own.
SHAPES = [
    "  NAME:\n    prompt: |+\n      a block\n\n    output: out/NAME.png\n",
    "  NAME:\n    output: out/NAME.png\n    prompt: |+\n      a block at the end\n\n\n",
    "  NAME:\n    prompt: >\n      folded\n      text\n    output: out/NAME.png\n",
    "  NAME:\n    output: out/NAME.png\n    prompt: >-\n      folded\n",
    "  NAME: {prompt: a flow, output: out/NAME.png}\n",
    "  NAME: {prompt: a flow,\n    output: out/NAME.png,\n  }\n",
    "  NAME:\n    # a comment\n    prompt: a # comment\n    output: out/NAME.png # and another\n\n# at the margin\n",
    "  NAME:\n    extends: icon\n    prompt: p\n    output: out/NAME.png\n    params: {b: [1, 2.5, null], a: {c: true}}\n",
    "  NAME:\n    matrix: {x: [a, b], y: {k: v}}\n    prompt: '{{ x }} {{ y }}'\n    output: out/NAME-{{ x }}.png\n",
    "  NAME:\n    prompt: p\n    output: out/NAME.png\n    references: ['@item1']\n",
    "  NAME:\n    prompt: p\n    output: out/NAME.png\n    references: ['@NAME']\n",
    "  NAME:\n    prompt_file: p.txt\n    output: out/NAME.png\n",
    "  NAME:\n    prompt: \"{% include 'p.txt' %}\"\n    output: out/NAME.png\n",
    "  NAME:\n    foreach: {items: [s, t]}\n    prompt: '{{ item }}'\n    output: out/NAME-{{ item }}.png\n",
    "  NAME:\n    prompt: p\n    output: out/NAME.png\n    derive: [{widths: [10], output: 'd/NAME-{{ width }}.webp'}]\n",
    "  NAME: &shared\n    prompt: an anchor\n    output: out/NAME.png\n",
    "  NAME:\n    <<: *shared\n    output: out/NAME.png\n",
    "  NAME: !!map\n    prompt: a tag\n    output: out/NAME.png\n",
    "  NAME:\n    enabled: false\n    prompt: p\n    output: out/NAME.png\n",
    "  NAME:\n    prompt: p\n    output: out/1.png\n",
    "  NAME:\n    prompt: p\n    output: OUT/2.png\n",
    "  NAME:\n    prompt: p\n    output: out/3.png/below.png\n",
    "  item1:\n    prompt: twice\n    output: out/NAME.png\n",
    "  NAME:\n    promt: p\n    output: out/NAME.png\n",
    "  NAME:\n    prompt: '{{ missing }}'\n    output: out/NAME.png\n",
    "  NAME:\n    prompt: \"an open quote\n    output: out/NAME.png\n",
    "  NAME:\n    prompt: 'closes it\" all\n    output: out/NAME.png'\n",
    "  NAME:\n    prompt: [open\n    output: out/NAME.png\n",
    "  NAME:\n    prompt: \"two\n  lines\"\n    output: out/NAME.png\n",
    "  NAME:\n    prompt: two\n     lines\n    output: out/NAME.png\n",
    "  NAME:\n\tprompt: a tab\n",
    "  'NAME':\n    prompt: p\n    output: out/NAME.png\n",
    "  ? NAME\n  : {prompt: p, output: out/NAME.png}\n",
    "   NAME:\n    prompt: deeper\n    output: out/NAME.png\n",
    " NAME:\n    prompt: less deep\n    output: out/NAME.png\n",
    "NAME:\n  prompt: at the margin\n",
    "  x-NAME: {anything: goes}\n",
    "  NAME:\n",
    "  NAME: text\n",
    "---\n",
    "...\n",
    "images:\n",
    "  NAME:\n    prompt: p\n    output: out/NAME.png\n    tags: [a]\n    nine_slice: [1, 2, 3, 4]\n",
]  # fmt: skip
HEADS = [
    HEAD,
    HEAD.replace("flat", "{{ missing }}"),
    HEAD.replace("icon:", "icon: &shared"),
    HEAD.replace("64x64", "63x63"),
    HEAD.replace("images:", "images: # all of them"),
    HEAD.replace("images:\n", "images:\n\n  # the first\n"),
    HEAD.replace("version", "include: [more.yaml]\nversion"),
    HEAD.replace("version", "defaults: {prompt_file: p.txt}\nversion"),
    HEAD.replace("version", "assets: out/4.png\nversion"),
    HEAD.replace("images", "imags"),
    HEAD.replace("\n", "\r\n"),
]
FEET = ["", FOOT, "vars: {}\n", "x-open: \"\n", "providers: {p: {type: placeholder}, q: {type: placeholder}}\n", "# end"]  # fmt: skip


@dataclass
class Draft:
    """A manifest that is being edited."""

    head: str = HEAD
    entries: list[str] = field(default_factory=lambda: [plain(n) for n in range(12)])
    foot: str = ""

    @property
    def text(self) -> str:
        return self.head + "".join(self.entries) + self.foot


class Edit:
    """One edit; `at` is where, as far as there is such a place."""

    def __init__(self, kind: str, at: int, what: str) -> None:
        self.kind, self.at, self.what = kind, at, what

    def __repr__(self) -> str:
        return f"Edit({self.kind!r}, {self.at}, {self.what!r})"

    def apply(self, draft: Draft) -> None:
        at = self.at % (len(draft.entries) + 1)
        if self.kind == "head":
            draft.head = self.what
        elif self.kind == "foot":
            draft.foot = self.what
        elif self.kind == "insert":
            draft.entries.insert(at, self.what)
        elif self.kind == "replace":
            draft.entries[at : at + 1] = [self.what]
        elif self.kind == "remove":
            del draft.entries[at : at + 1]
        elif self.kind == "move" and draft.entries:
            draft.entries.insert(at, draft.entries.pop(self.at // 13 % len(draft.entries)))
        elif self.kind == "type" and draft.entries:
            index = at % len(draft.entries)
            old = draft.entries[index]
            place = self.at // 13 % (len(old) + 1)
            draft.entries[index] = old[:place] + self.what + old[place:]


ENTRY = st.builds(
    lambda shape, number: shape.replace("NAME", f"extra{number}"), st.sampled_from(SHAPES), st.integers(0, 5)
) | st.integers(0, 14).map(plain)
PLACE = st.integers(0, 5000)
EDIT = st.one_of(
    st.builds(Edit, st.just("replace"), PLACE, ENTRY),
    st.builds(Edit, st.just("insert"), PLACE, ENTRY),
    st.builds(Edit, st.sampled_from(["remove", "move"]), PLACE, st.just("")),
    st.builds(Edit, st.just("type"), PLACE, st.sampled_from([*"\"'#&*|>:-{}[] \n\tx", "\n  ", "a: b"])),
    st.builds(Edit, st.just("head"), PLACE, st.sampled_from(HEADS)),
    st.builds(Edit, st.just("foot"), PLACE, st.sampled_from(FEET)),
)


def outcome(bench: Workbench, memory: Memory | None) -> object:
    """All that a load gives but the places of fields: they are only asked for where something is wrong."""
    try:
        project = load_project("imgbuild.yaml", DiskFiles(bench.root), memory=memory)
    except ManifestError as error:
        return error.diagnostics
    return [
        (name, getattr(project, name))
        for name in Project.__slots__
        # Models compare by value, but references to files of a provider do not matter here.
        if name != "type_places"
    ] + [sorted(project.type_places)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    bench = Workbench(tmp_path_factory.mktemp("recalled"))
    bench.write(
        {"p.txt": "a prompt from a file", "more.yaml": "images: {more: {prompt: m, output: m.png}}\n"}
    )
    return bench


@settings(max_examples=150, deadline=None)
@given(edits=st.lists(EDIT, max_size=6))
@example(edits=[Edit("replace", 3, SHAPES[1].replace("NAME", "n")), Edit("replace", 5, plain(13))])
@example(edits=[Edit("replace", 2, SHAPES[25].replace("NAME", "n")), Edit("foot", 0, FEET[3])])
@example(
    edits=[
        Edit("replace", 2, SHAPES[25].replace("NAME", "n")),
        Edit("replace", 8, SHAPES[26].replace("NAME", "m")),
    ]
)
@example(edits=[Edit("insert", 4, SHAPES[-1].replace("NAME", "n")), Edit("replace", 2, plain(13))])
@example(edits=[Edit("insert", 4, SHAPES[15].replace("NAME", "n")), Edit("insert", 6, SHAPES[16])])
def test_a_load_that_remembers_gives_what_a_load_from_nothing_gives(
    folder: Workbench, edits: list[Edit]
) -> None:
    draft = Draft()
    kept: object = None
    for edit in [None, *edits]:
        if edit:
            edit.apply(draft)
        folder.write({"imgbuild.yaml": draft.text})
        memory = Memory(kept, least=1)
        assert outcome(folder, memory) == outcome(folder, None), draft.text
        value = memory.value()
        if value is not None:
            kept = json.loads(json.dumps(value, sort_keys=True))


def remembered(bench: Workbench, text: str) -> object:
    bench.write({"imgbuild.yaml": text})
    memory = Memory(least=1)
    load_project("imgbuild.yaml", DiskFiles(bench.root), memory=memory)
    return memory.value()


def load(bench: Workbench, text: str, kept: object) -> tuple[Project, Memory]:
    bench.write({"imgbuild.yaml": text})
    memory = Memory(kept, least=1)
    return load_project("imgbuild.yaml", DiskFiles(bench.root), memory=memory), memory


def test_only_the_edited_entry_is_read_again(bench: Workbench) -> None:
    entries = [plain(n) for n in range(12)]
    kept = remembered(bench, HEAD + "".join(entries) + FOOT)
    entries[4] = entries[4].replace("thing", "new thing")
    project, memory = load(bench, HEAD + "".join(entries) + FOOT, kept)
    assert memory.used
    assert [image.prompt for image in project.images][3:6] == [
        "flat thing 3",
        "flat new thing 4",
        "flat thing 5",
    ]


def test_another_profile_or_context_remembers_nothing(bench: Workbench) -> None:
    body = "".join(plain(n) for n in range(12))
    kept = remembered(bench, HEAD + body)
    project, memory = load(bench, HEAD.replace("flat", "round") + body, kept)
    assert not memory.used
    assert project.images[0].prompt == "round thing 0"


def test_an_output_that_became_a_folder_is_an_error_of_a_remembered_entry_too(bench: Workbench) -> None:
    text = HEAD + "".join(plain(n) for n in range(12))
    kept = remembered(bench, text)
    Path(bench.root, "out/4.png").mkdir(parents=True)
    with pytest.raises(ManifestError, match="is a folder") as caught:
        load(bench, text, kept)
    place = caught.value.diagnostics[0].position
    assert place is not None
    assert place.line == text[: text.index("out/4.png")].count("\n") + 1


def test_a_few_entries_are_not_worth_remembering(bench: Workbench) -> None:
    bench.write({"imgbuild.yaml": HEAD + plain(1) + plain(2)})
    memory = Memory()
    load_project("imgbuild.yaml", DiskFiles(bench.root), memory=memory)
    assert memory.value() is None
