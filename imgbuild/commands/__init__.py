"""One file a verb, all of one shape: `HELP`, `configure(parser)` and `run(args, context) -> int`.

A verb imports what it runs inside `run`: its `--help`, and a run that finds nothing to do, pay for no more
than they use.
"""
