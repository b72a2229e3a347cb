"""Signatures over a model version's folder, by OpenSSF model-signing with the workspace's key.

A signature (a Sigstore bundle) covers the set of files and the bytes of each: a changed, an
added and a removed file are all found.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from triune.core.errors import NotFound, Refused
from triune.core.files import OWNER_ONLY, locked, write_atomic

PRIVATE, PUBLIC = "signing.key", "signing.pub"
SIGNATURE = "model.sig"

_MISMATCH = "Signature mismatch"
_SENTENCES = (
    (re.compile(r"Extra files found in model '.*?': ([^\"\]]*)"), "added: {}"),
    (re.compile(r"Missing files in model '.*?': ([^\"\]]*)"), "removed: {}"),
    (re.compile(r"Hash mismatch for \\?'(.*?)\\?': Expected"), "changed: {}"),
)


def make_key(folder: Path) -> Path:
    """The workspace's key pair in ``folder``, made at first use; returns the public half.

    The private half is readable by its owner only.
    """
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    public = folder / PUBLIC
    with locked(folder / "signing.lock"):
        if not public.is_file():
            key = ec.generate_private_key(ec.SECP256R1())
            secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            shown = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            write_atomic(folder / PRIVATE, secret, mode=OWNER_ONLY)
            write_atomic(public, shown)
    return public


def sign(folder: Path, private_key: Path) -> Path:
    """Sign every file of ``folder`` and write ``model.sig`` into it; returns its path.

    Raises
    ------
    NotFound: (``signing-key-missing``).
    Refused: (``signing-key-exposed``) others than its owner may read the key.
    """
    from model_signing import signing

    if not private_key.is_file():
        raise NotFound(
            "signing-key-missing",
            "there is no key to sign with",
            context=str(private_key),
            hint="Restore the workspace's keys from a backup, or let `triune init` make them.",
        )
    if private_key.stat().st_mode & 0o077:
        raise Refused(
            "signing-key-exposed",
            "others than its owner may read the signing key",
            context=str(private_key),
            hint=f"Run `chmod 600 {private_key}`; make a new key if somebody may have.",
        )
    signature = folder / SIGNATURE
    config = signing.Config().use_elliptic_key_signer(private_key=private_key)
    config.set_hashing_config(_hashing(signature)).sign(folder, signature)
    return signature


def verify(folder: Path, public_key: Path, signature: Path | None = None) -> None:
    """Return when the signature by ``public_key`` covers exactly the files of ``folder``.

    Raises
    ------
    Refused: (``model-unsigned``) there is no signature, or not by this key;
        (``model-tampered``) naming the files that were changed, added or removed.
    """
    from cryptography.exceptions import InvalidSignature
    from model_signing import verifying

    bundle = signature or folder / SIGNATURE
    if not bundle.is_file() or not public_key.is_file():
        absent = bundle if public_key.is_file() else public_key
        raise _unsigned(folder, f"{absent.name} is missing")
    for path in folder.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise tampered(folder, f"no plain file: {path.relative_to(folder)}")
    try:
        config = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
        config.set_hashing_config(_hashing(bundle)).verify(folder, bundle)
    except InvalidSignature as error:
        raise _unsigned(folder, "its signature is not by this key") from error
    except ValueError as error:
        text = str(error)
        if text.startswith(_MISMATCH):
            raise tampered(folder, _named(text)) from error
        raise _unsigned(folder, f"its signature cannot be used: {text}") from error
    except (OSError, KeyError, TypeError) as error:
        raise _unsigned(folder, f"its signature cannot be read: {error}") from error


def tampered(folder: Path, what: str) -> Refused:
    """The refusal of a folder whose bytes are not those that were registered."""
    return Refused(
        "model-tampered",
        f"the model's files are not those that were signed: {what}",
        context=str(folder),
        hint="Restore the version from a backup, or register the run's model again.",
    )


def _named(text: str) -> str:
    """The files that model-signing's message names, in words."""
    found = [
        sentence.format(match)
        for pattern, sentence in _SENTENCES
        for match in pattern.findall(text)
    ]
    return "; ".join(found) or text


def _unsigned(folder: Path, why: str) -> Refused:
    return Refused(
        "model-unsigned",
        f"the model is not signed by this workspace: {why}",
        context=str(folder),
        hint="Register it with `triune models register RUN`; never load it as it is.",
    )


def _hashing(signature: Path) -> object:
    from model_signing import hashing

    workers = min(4, os.cpu_count() or 1)
    config = hashing.Config().use_file_serialization(max_workers=workers)
    return config.set_ignored_paths(paths=[signature], ignore_git_paths=False)
