"""Whatever is combined: a picture comes out, the same every time, or an error that says what to do."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from making import FORMATS, SOURCE, make, opened, raw, stored

from imgbuild.core.derivation import Recipe
from imgbuild.core.errors import BadImageError
from imgbuild.core.image import KERNELS, Operations, Size

SIDES = st.integers(1, 60)
ODD_SIDES = st.sampled_from([-1, 0, 300, 20_000, 1 << 40])
HEX = st.sampled_from(["#00ff00", "#ff00ff", "#000000", "#ffffff", "#123456"])
RESIZED = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {
            "size": st.builds(Size, SIDES, SIDES),
            "fit": st.sampled_from(["cover", "contain", "fill", "exact"]),
        },
        optional={"focus": st.sampled_from(["attention", "entropy", "0.2,0.8", "1,1"])},
    ),
    st.fixed_dictionaries({"width": SIDES}),
    st.fixed_dictionaries({"scale": st.floats(0.01, 4)}),
)
REST = st.fixed_dictionaries(
    {},
    optional={
        "alpha": st.sampled_from(["#00ff00", "#ffffff", "native"]),
        "grid": st.integers(1, 12),
        "trim": st.just(True),
        "kernel": st.sampled_from(KERNELS),
        "palette": st.integers(2, 256) | st.lists(HEX, min_size=1, max_size=5).map(tuple),
        "pad": st.integers(0, 20),
        "pow2": st.just(True),
        "caption": st.sampled_from(["hero", "城", ""]),
    },
)
ODD = st.fixed_dictionaries(
    {},
    optional={
        "alpha": st.sampled_from(["red", ""]),
        "grid": ODD_SIDES,
        "size": st.builds(Size, ODD_SIDES, SIDES | ODD_SIDES),
        "width": ODD_SIDES,
        "scale": st.sampled_from([0.0, -1.0, 1e-9, 1e9, 1e308]),
        "focus": st.sampled_from(["middle", "2,2", "nan,0", ","]),
        "kernel": st.just("cubist"),
        "palette": st.sampled_from([-1, 0, 1, 257, (), ("red",)]),
        "pad": st.sampled_from([-1, 20_000, 1 << 40]),
        "seamless": st.just(True),
    },
)
OPERATIONS = st.builds(
    lambda resized, rest, odd: Operations(**{**resized, **rest, **odd}), RESIZED, REST, st.just({}) | ODD
)


@settings(max_examples=120, deadline=None)
@given(
    operations=OPERATIONS,
    format=st.sampled_from(FORMATS),
    width=st.integers(1, 30),
    height=st.integers(1, 30),
    bands=st.sampled_from([3, 4]),
    random=st.randoms(use_true_random=False),
)
def test_anything_ends_in_a_picture_or_in_words(
    operations: Operations, format: str, width: int, height: int, bands: int, random: object
) -> None:
    levels = random.choices(b"\0\0\0\xff\xff\x80", k=width * height * bands)  # type: ignore[attr-defined]
    with TemporaryDirectory() as folder:
        source = stored(raw(width, height, bytes(levels)), Path(folder, "master.png"))
        wanted, once, twice = Recipe(SOURCE, format, operations), Path(folder, "1"), Path(folder, "2")
        try:
            made = make(source, once, wanted)
        except BadImageError as error:
            assert error.remedy
            assert "cannot be decoded" not in error.message
            assert not once.exists()
            return
        image = opened(once)
        assert (made.width, made.height) == (image.width, image.height)
        make(source, twice, wanted)
        assert once.read_bytes() == twice.read_bytes()
