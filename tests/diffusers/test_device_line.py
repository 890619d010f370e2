"""Who is next at a device: what is drawn together, what stays loaded, and what nobody waits for any more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import pytest

from imgbuild.providers.diffusers_device import Abandoned, Device, Devices, Load


class Painter:
    """A pipeline that writes down what it does, and draws when it may."""

    def __init__(self, studio: Studio, name: str) -> None:
        self.bytes = 10
        self._studio = studio
        self._name = name

    def draw(self, wishes: Sequence[str], is_wanted: Callable[[], bool]) -> list[str | Exception]:
        self._studio.did.append(f"{self._name}: {' '.join(wishes)}")
        self._studio.begun.set()
        while not self._studio.may_draw.wait(0.01):
            if not is_wanted():
                self._studio.did.append("stopped")
                raise Abandoned
        return [ValueError(wish) if wish == "bad" else wish.upper() for wish in wishes]


class Studio:
    def __init__(self) -> None:
        self.did: list[str] = []
        self.begun = threading.Event()
        self.may_draw = threading.Event()
        self.device: Device[str, str] = Device()

    def ask(
        self, wish: str, name: str = "a", shape: str = "", most: int = 1, limit: int | None = None
    ) -> Future[str]:
        def load() -> Painter:
            self.did.append(f"load {name}")
            if name == "broken":
                raise ValueError("broken weights")
            return Painter(self, name)

        return self.device.ask(Load(name, 10, limit, load), wish, shape, most)


@pytest.fixture
def studio() -> Studio:
    return Studio()


def test_pictures_of_one_shape_are_drawn_together_and_each_gets_its_own(studio: Studio) -> None:
    first = studio.ask("one", most=3)
    assert studio.begun.wait(10)
    others = [studio.ask(wish, shape=shape, most=3) for wish, shape in zip("abcdbx", "112111", strict=True)]
    bad = studio.ask("bad", shape="2", most=3)
    studio.may_draw.set()
    assert [future.result(10) for future in (first, *others)] == ["ONE", "A", "B", "C", "D", "B", "X"]
    assert isinstance(bad.exception(10), ValueError)
    assert studio.did == ["load a", "a: one", "a: a b d", "a: c bad", "a: b x"]


def test_what_is_loaded_goes_first_and_one_model_stays(studio: Studio) -> None:
    futures = [studio.ask("one")]
    assert studio.begun.wait(10)
    futures += [
        studio.ask(wish, name) for wish, name in (("p", "b"), ("two", "a"), ("q", "b"), ("three", "a"))
    ]
    studio.may_draw.set()
    assert [future.result(10) for future in futures] == ["ONE", "P", "TWO", "Q", "THREE"]
    assert studio.did == ["load a", "a: one", "a: two", "a: three", "load b", "b: p", "b: q"]


def test_within_a_limit_the_least_recently_used_goes(studio: Studio) -> None:
    studio.may_draw.set()
    for name in ("a", "b", "a", "c", "a", "b"):
        studio.ask("x", name, limit=20).result(10)
    assert [did for did in studio.did if did.startswith("load")] == ["load a", "load b", "load c", "load b"]


def test_drawing_ends_when_nobody_waits_and_goes_on_as_long_as_somebody_does(studio: Studio) -> None:
    alone = studio.ask("one", most=2)
    assert studio.begun.wait(10)
    queued, kept, given_up = (
        studio.ask("two", most=2),
        studio.ask("three", most=2),
        studio.ask("four", most=2),
    )
    assert queued.cancel()
    studio.begun.clear()
    assert alone.cancel()
    assert studio.begun.wait(10)
    assert given_up.cancel()
    studio.may_draw.set()
    assert kept.result(10) == "THREE"
    assert studio.did == ["load a", "a: one", "stopped", "a: three four"]


def test_a_model_that_cannot_be_loaded_fails_for_all_who_wait_at_once(studio: Studio) -> None:
    first = studio.ask("one")
    assert studio.begun.wait(10)
    broken = [studio.ask("x", "broken") for _ in range(3)]
    studio.may_draw.set()
    assert [type(future.exception(10)) for future in (first, *broken)] == [type(None), *[ValueError] * 3]
    assert studio.did.count("load broken") == 1


def test_a_device_is_one_for_all_who_use_it_and_gone_with_the_last() -> None:
    devices: Devices[str, str] = Devices()
    one = devices.get("cpu")
    assert devices.get("cpu") is one
    assert devices.get("cuda") is not one
    one.ask(Load("a", 1, None, lambda: Painter(Studio(), "a")), "x", "", 1).cancel()
    before = threading.active_count()
    assert any(thread.name.startswith("device") for thread in threading.enumerate())
    del one
    while threading.active_count() >= before:
        pass
