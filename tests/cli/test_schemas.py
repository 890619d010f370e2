"""The committed schemas are what the types say, and what `imgbuild schema` prints."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from imgbuild.core.errors import LockfileError
from imgbuild.core.lock import parse_lock
from imgbuild.core.schema_formats import events_schema, lock_schema

SCHEMAS = Path(__file__).resolve().parents[2] / "schema"
FILES = {"manifest": "imgbuild.schema.json", "lock": "lock.schema.json", "events": "events.schema.json"}


@pytest.mark.parametrize("kind", FILES)
def test_schema_prints_exactly_the_committed_file(imgbuild, kind):
    done = imgbuild("schema", kind)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (SCHEMAS / FILES[kind]).read_text(encoding="utf-8")


@pytest.mark.parametrize("text", [lock_schema(), events_schema()])
def test_they_are_valid_schemas(text):
    jsonschema.Draft202012Validator.check_schema(json.loads(text))


def test_a_written_lock_is_described(project):
    project("build")
    lock = json.loads((project.root / "imgbuild.lock").read_text())
    jsonschema.validate(lock, json.loads(lock_schema()))


@pytest.mark.parametrize(
    "break_it",
    [
        lambda lock: lock.update(version=2),
        lambda lock: lock.update(extra=1),
        lambda lock: lock["images"]["hero"].pop("take"),
        lambda lock: lock["images"]["hero"].update(key="ABC"),
        lambda lock: lock["images"]["hero"].update(take=0),
        lambda lock: lock["images"]["hero"]["source"].update(width="120"),
        lambda lock: lock["images"]["hero"]["outputs"]["out/hero.png"].update(note="x"),
    ],
)
def test_schema_and_reader_refuse_the_same_locks(project, break_it):
    project("build", "hero")
    lock = json.loads((project.root / "imgbuild.lock").read_text())
    break_it(lock)
    assert not jsonschema.Draft202012Validator(json.loads(lock_schema())).is_valid(lock)
    with pytest.raises(LockfileError):
        parse_lock(json.dumps(lock), "imgbuild.lock")
