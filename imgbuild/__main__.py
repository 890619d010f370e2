"""The program's start: the version at once, everything else through the command line.

A command listens to SIGINT and SIGTERM in its own way. Here is what they do before and after that: until then
they end the process with 130 or 143, and from then on they change no result. They never leave a traceback.

The end is the system's: to free a hundred thousand objects one by one, of a process that is over, takes time.
"""

import atexit
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from types import FrameType
else:
    # Python's own module of that name imports enum, which takes longer than all that the version needs.
    import _signal as signal


def main() -> int:
    """Run the command line that the process was started with; returns the exit code."""
    # Until a command listens, nothing has begun that could be ended in a better way.
    _on_signals(lambda number, frame: os._exit(128 + number))
    known: list[int] = []
    # What is registered first is called last: threads have ended by then.
    atexit.register(_leave, known)
    code = _answer(sys.argv[1:])
    # All is written. Threads that still compute hold up nobody who does not want to wait for them.
    _on_signals(lambda number, frame: os._exit(code))
    known.append(code)
    return code


def _leave(known: list[int]) -> None:
    """End the process with the exit code, if there is one by now."""
    _on_signals(signal.SIG_IGN)
    if known:
        try:
            for stream in filter(None, (sys.stdout, sys.stderr)):
                stream.flush()
        except (OSError, ValueError):
            # Python tells of it in its own way.
            return
        os._exit(known[0])


def _answer(argv: list[str]) -> int:
    try:
        if argv in (["--version"], ["-V"]):
            from imgbuild import __version__

            if sys.stdout is not None:
                sys.stdout.write(f"imgbuild {__version__}\n")
                sys.stdout.flush()
            return 0
        if "build" in argv:
            from imgbuild import __version__, fastpath

            if fastpath.answer(argv, __version__, os.environ):
                return 0
        from imgbuild.cli import run

        return run(argv)
    except (OSError, ImportError, MemoryError) as error:
        # The system refuses even the modules that errors are reported with.
        if sys.stderr is not None:
            sys.stderr.write(f"error: imgbuild cannot run: {error or 'there is no memory left'}\n")
        return 1


def _on_signals(handler: "signal.Handlers | Callable[[int, FrameType | None], None]") -> None:
    """Handle both so from now on; but a shell's background job ignores SIGINT, and so do we then."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
