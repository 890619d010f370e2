"""The program's start: the version at once, everything else through the command line."""

import sys


def main() -> int:
    """Run the command line that the process was started with; returns the exit code."""
    try:
        if sys.argv[1:] in (["--version"], ["-V"]):
            from imgbuild import __version__

            sys.stdout.write(f"imgbuild {__version__}\n")
            return 0
        if "build" in sys.argv[1:]:
            import os

            from imgbuild import __version__, fastpath

            if fastpath.answer(sys.argv[1:], __version__, os.environ):
                return 0
        from imgbuild.cli import run

        return run(sys.argv[1:])
    except KeyboardInterrupt:
        # Before the command line listens to signals, there is nothing to be ended in its own way.
        return 130
    except (OSError, ImportError, MemoryError) as error:
        # The system refuses even the modules that errors are reported with.
        if sys.stderr is not None:
            sys.stderr.write(f"error: imgbuild cannot run: {error or 'there is no memory left'}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
