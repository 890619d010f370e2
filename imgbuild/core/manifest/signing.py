"""The manifest's `c2pa`: what pictures are signed with, and what is wrong with it."""

from __future__ import annotations

from imgbuild.core.credentials import Signing
from imgbuild.core.manifest.fields import shown
from imgbuild.core.manifest.output_model import C2pa
from imgbuild.core.manifest.project import FileProblem
from imgbuild.core.manifest.reading import Reading
from imgbuild.core.manifest.reporter import Reporter
from imgbuild.core.manifest.yaml12 import Map
from imgbuild.core.safepath import safe_path

_MAX_BYTES = 1 << 20


def read_signing(given: C2pa, node: Map, reading: Reading, report: Reporter) -> Signing | None:
    """The settings with the certificate's text; None, reported at its place in `node`, if it has none.

    Whether it is a certificate that can sign is known only to the library that does, when it does.
    """
    try:
        path = safe_path(given.certificate.strip())
        text = reading.source(path, _MAX_BYTES).text
        if "PRIVATE KEY-----" in text:
            raise ValueError(
                "holds a private key: move that out of the project, and take it for stolen if it was shared"
            )
        if "-----BEGIN CERTIFICATE-----" not in text:
            raise ValueError("is no PEM file with a certificate")
    except (FileProblem, ValueError) as error:
        at = node.values_at["certificate"]
        report.add(node.source, at, f'certificate: "{shown(given.certificate)}" {error}', chain=("c2pa",))
        return None
    return Signing(path, text, given.key, given.issue)
