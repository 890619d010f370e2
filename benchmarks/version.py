"""How long the least command takes: `imgbuild --version`."""

from __future__ import annotations

from pathlib import Path

from benchmarks.measure import PYTHON, Command, bare_python, in_turns
from benchmarks.scale import Scale
from benchmarks.table import Table, megabytes, ratio, seconds
from imgbuild import __version__

_BUDGET = 2.0


def measure(scale: Scale) -> Table:
    """`imgbuild --version`, as the console script and as a module, beside `python -c pass`."""
    here = Path.cwd()
    says = f"imgbuild {__version__}"
    script = str(Path(PYTHON).with_name("imgbuild"))
    commands = [
        bare_python(here),
        Command("imgbuild --version", (script, "--version"), here, expect=says),
        Command("python -m imgbuild --version", (PYTHON, "-m", "imgbuild", "--version"), here, expect=says),
    ]
    series = in_turns(commands, scale.of(31, 3))
    bare = series[commands[0].name]
    rows = [
        (one.name, seconds(one.wall), seconds(one.cpu), megabytes(one.peak), ratio(one.against(bare)))
        for one in series.values()
    ]
    met = all(series[command.name].against(bare) <= _BUDGET for command in commands[1:])
    return Table(
        "The version",
        ("command", "wall s", "CPU s", "peak MB", "x python"),
        tuple(rows),
        budget=f"`imgbuild --version` takes at most {_BUDGET:g}x `python -c pass`",
        met=None if scale.small else met,
    )
