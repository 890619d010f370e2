"""Content credentials (C2PA): how a project's files are signed, and what a signed file says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Signing:
    """How a project wants its pictures signed."""

    path: str
    """The file that holds `certificate`, relative to the manifest's folder."""
    certificate: str
    """PEM: the signer's certificate, then those that vouch for it."""
    key: str
    """The variable that holds the private key, as written: "${NAME}"."""
    issue: int = 1
    """A file that was signed for a lower issue is signed anew."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a file's content credentials say. All of it is the signer's word."""

    holds: bool | None
    """The signature is sound, and the file is what was signed. None: nobody could look."""
    problem: str | None = None
    """Why it does not hold, or why nobody could look."""
    signer: str | None = None
    """The name in the certificate. Whether to trust who issued that is not judged."""
    organisation: str | None = None
    made_with: str | None = None
    """The program that made the claim, with its version."""
    source_type: str | None = None
    """The digital source type of its making, the last part of cv.iptc.org's URI."""
