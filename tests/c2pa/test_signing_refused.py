"""What cannot be signed is said before anything is sent, without a word of the key; and paid pictures are kept."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from project_folder import ProjectFolder
from signed_files import FILES, SIGNED, holds
from signers import Signer, make_signer

pytest.importorskip("c2pa")

Sign = Callable[..., None]


def refused(project: ProjectFolder, emulator, *words: str, **environ: str) -> str:
    """What a build says that ends with exit code 2 and has sent nothing."""
    run = project.run("build", **environ)
    assert (run.code, emulator.ledger()["requests"]) == (2, {}), run.err
    for word in words:
        assert word in run.err
    assert not (project.root / "out").exists()
    return run.err


def test_a_build_without_the_key_names_its_variable(signed: ProjectFolder, emulator):
    del signed.environ["IMGBUILD_C2PA_KEY"]
    refused(signed, emulator, "c2pa.key needs the variable IMGBUILD_C2PA_KEY, which is not set")
    # What only looks needs no key.
    assert signed.run("check").code == 0
    assert signed.json("plan").counts() == {"generated": 1, "submitted": 1}


def test_the_key_may_stand_beside_the_manifest_in_env(signed: ProjectFolder, signer: Signer):
    del signed.environ["IMGBUILD_C2PA_KEY"]
    signed.write(".env", f'IMGBUILD_C2PA_KEY="{signer.key.decode()}"\n')
    signed.json("build")
    assert all(holds(signed.read(path)) for path in FILES)


@pytest.mark.parametrize(
    "value", ["", "MHcCAQEEIBsk-canary-of-a-key", "/nowhere/key.pem", "-----BEGIN sk-canary-", "."]
)
def test_a_variable_that_holds_no_key_is_not_repeated(signed: ProjectFolder, emulator, value: str):
    err = refused(signed, emulator, "key", IMGBUILD_C2PA_KEY=value)
    assert "canary" not in err
    assert len(err.splitlines()) <= 3


def test_a_key_inside_the_project_is_refused(signed: ProjectFolder, signer: Signer, emulator):
    signed.write("keys/signing.pem", signer.key)
    refused(signed, emulator, "inside the project", IMGBUILD_C2PA_KEY="keys/signing.pem")


def test_key_and_certificate_must_be_a_pair(signed: ProjectFolder, emulator):
    other = make_signer().key.decode()
    refused(signed, emulator, "does not belong to the certificate", IMGBUILD_C2PA_KEY=other)


def test_an_encrypted_key_is_refused(signed: ProjectFolder, signer: Signer, emulator):
    refused(signed, emulator, "is encrypted", IMGBUILD_C2PA_KEY=signer.encrypted_key.decode())


def test_an_expired_certificate_is_refused(signed: ProjectFolder, sign: Sign, emulator):
    sign(signed, make_signer(days=-1))
    refused(signed, emulator, "c2pa (certs/signing.pem)", "is valid from")


def test_a_certificate_that_may_not_sign_is_refused(signed: ProjectFolder, sign: Sign, emulator):
    sign(signed, make_signer(usable=False))
    refused(signed, emulator, "is none for pictures", "digitalSignature")


def test_a_kind_of_key_that_c2pa_does_not_know_is_refused(signed: ProjectFolder, sign: Sign, emulator):
    sign(signed, make_signer("p224"))
    refused(signed, emulator, "no algorithm for the certificate's key")


def test_a_damaged_certificate_is_refused(signed: ProjectFolder, emulator):
    signed.write("certs/signing.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    refused(signed, emulator, "the certificate that signs cannot be read")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("{certificate: certs/none.pem, key: '${K}'}", 'certificate: "certs/none.pem" '),
        ("{certificate: ../cert.pem, key: '${K}'}", "leads out of the project"),
        ("{certificate: /etc/ssl/cert.pem, key: '${K}'}", "is absolute"),
        ("{certificate: imgbuild.yaml, key: '${K}'}", "is no PEM file with a certificate"),
        ("{certificate: certs/both.pem, key: '${K}'}", "holds a private key"),
        ("{certificate: certs/signing.pem}", '"key" is missing'),
        ("{certificate: certs/signing.pem, key: sk-canary-secret}", "never the key itself"),
        ("{certificate: certs/signing.pem, key: '${K}', issue: 0}", "issue: "),
        ("{certificate: certs/signing.pem, kee: '${K}'}", 'did you mean "key"?'),
        ("certs/signing.pem", "mapping"),
    ],
)
def test_wrong_settings_are_errors_of_the_manifest(
    signed: ProjectFolder, signer: Signer, settings: str, words: str
):
    signed.write("certs/both.pem", signer.chain + signer.key)
    signed.edit(SIGNED, f"c2pa: {settings}\n")
    run = signed.run("check")
    assert run.code == 2
    assert words in run.err
    assert "imgbuild.yaml:" in run.err
    assert "canary" not in run.err


def test_a_key_that_stops_signing_midway_loses_no_picture(
    signed: ProjectFolder, sign: Sign, signer: Signer, emulator, tmp_path: Path
):
    """The plan knew of nothing to sign: the bytes are found to be damaged when they are wanted."""
    signed.json("build")
    digest = signed.lock["images"]["hero"]["outputs"]["out/hero.png"]["digest"]
    blob = tmp_path / "cache/blobs" / digest[:2] / digest
    blob.chmod(0o644)
    blob.write_bytes(b"\0" * blob.stat().st_size)
    (signed.root / "out/hero.png").unlink()
    lock = signed.read("imgbuild.lock")
    run = signed.json("build", code=1, IMGBUILD_C2PA_KEY="/nowhere")
    [failed] = [e for e in run.events if e["event"] == "image"]
    assert "c2pa.key" in failed["error"]["message"]
    assert signed.read("imgbuild.lock") == lock
    assert signed.json("build").counts() == {"derived": 1}
    assert len(emulator.ledger()["charges"]) == 1


WITHOUT = """\
import importlib.abc, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("c2pa", "cryptography"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from imgbuild.__main__ import main
sys.exit(main())
"""


def run_without_the_extra(project: ProjectFolder, *words: str) -> subprocess.CompletedProcess[str]:
    """The command where neither c2pa-python nor what comes with it is installed."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *words],
        cwd=project.root, env=project.environ, capture_output=True, text=True, timeout=100,
    )  # fmt: skip


def test_without_the_extra_one_line_says_how_to_get_it(signed: ProjectFolder, emulator):
    done = run_without_the_extra(signed, "build")
    assert (done.returncode, emulator.ledger()["requests"]) == (2, {}), done.stderr
    assert "pip install 'imgbuild[c2pa]'" in done.stderr
    assert "Traceback" not in done.stderr
    signed.json("build")
    # What is accepted needs no extra, and what is read says that nobody has looked.
    assert run_without_the_extra(signed, "build").returncode == 0
    shown = run_without_the_extra(signed, "show", "out/hero.png")
    assert "content credentials, which were not checked" in shown.stdout


def test_the_library_is_loaded_only_by_what_signs(plain: ProjectFolder, sign: Sign):
    look = "import sys; from imgbuild.__main__ import main; code = main(); print([m for m in sys.modules if m in ('c2pa', 'cryptography')]); sys.exit(code)"

    def loaded(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", look, *words],
            cwd=plain.root, env=plain.environ, capture_output=True, text=True, timeout=100, check=True,
        )  # fmt: skip
        return done.stdout.splitlines()[-1]

    assert loaded("build") == "[]"
    sign(plain)
    assert loaded("plan") == "[]"
    plain.json("build")
    (plain.root / "out/hero.png").unlink()
    assert loaded("build") == "[]"


def test_the_key_is_in_no_file_and_no_word(signed: ProjectFolder, signer: Signer, tmp_path: Path):
    body = signer.key.decode().splitlines()[1]
    runs = [signed.run("build", "-v", IMGBUILD_C2PA_KEY=signer.key.decode())]
    runs += [
        signed.run(*words)
        for words in (["show", "hero"], ["explain", "hero"], ["gallery"], ["cache", "verify"])
    ]
    assert [run.code for run in runs] == [0] * len(runs)
    assert not any(body in run.out + run.err for run in runs)
    own = tmp_path / f"key-{signed.root.name}.pem"
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path != own]
    assert len(files) > 10
    assert [path for path in files if body.encode() in path.read_bytes()] == []
