"""How an emulated service behaves: everything that `imgbuild emulate` and the tests can choose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorOptions:
    """The behaviour of one emulator.

    The readings at the end are what the services' documents leave open: a client has to live with each.
    """

    latency: float = 2.0
    """Seconds that a task takes, about; 0 finishes it within the submission."""
    jitter: float = 0.25
    """Spread of the latencies: the sigma of a log-normal law around `latency`, the same in every run."""
    fault: tuple[str, ...] = ()
    """Faults as NAME or NAME:K (the first K submissions only), see `known_faults`."""
    require_key: bool = True
    """Answer 401 without `Authorization: Bearer TOKEN`; any token will do."""
    price: float = 1.0
    """Units that one image costs."""
    ledger_file: Path | None = None
    """Also append each charge, as a line of JSON, to this file."""

    error_shape: Literal["flat", "openai"] = "flat"
    """An error's body: `{code, message, data: null}` or `{error: {message, type, param, code}}`."""
    task_error: Literal["string", "object"] = "string"
    """The `error` of a failed task: a text, or `{code, message}`."""
    submit_enveloped: bool = False
    """Wrap the answer to a submission in `{code, message, data}` as the answer to a query is."""
    native_statuses: bool = False
    """The gateway software's own words: QUEUED, IN_PROGRESS, SUCCESS, FAILURE."""
    refund_failed: bool = False
    """Take the charge back when a task ends as failed."""
