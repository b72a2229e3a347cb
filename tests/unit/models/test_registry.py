"""The registry: signed versions that are whole, numbered once and checked."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.runs import bare_workspace, open_ledger, run_with_model
from triune.core.errors import NotFound, Refused
from triune.core.ids import digest_tree
from triune.core.workspace import Workspace
from triune.ledger.ports import Query
from triune.ledger.service import Ledger
from triune.models.registry import signing
from triune.models.registry.service import Registry
from triune.models.tracking import start


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return bare_workspace(tmp_path / "bare")


@pytest.fixture
def ledger(workspace: Workspace) -> Iterator[Ledger]:
    opened = open_ledger(workspace)
    yield opened
    opened.close()


@pytest.fixture
def registry(workspace: Workspace, ledger: Ledger) -> Registry:
    return Registry(workspace, ledger)


def test_a_version_is_whole_signed_read_only_and_in_the_ledger(
    registry: Registry, workspace: Workspace, ledger: Ledger
) -> None:
    run = run_with_model(workspace)
    version = registry.register(run)
    assert version.ref == "model:delay@1"
    assert version.run == f"run:{run}"
    names = {p.name for p in version.folder.iterdir()}
    assert names == {"mlflow", "example.json", "facts.json", "card.md", "model.sig"}
    files = [p for p in version.folder.rglob("*") if p.is_file()]
    assert {stat.S_IMODE(p.stat().st_mode) for p in files} == {0o444}
    assert version.digest == digest_tree(version.folder, leave_out=["model.sig"])
    assert registry.verify("delay@1") == version
    (edge,) = ledger.parents([version.ref])
    assert (edge.parent, edge.role) == (version.run, "run")


def test_numbers_rise_and_a_run_registered_again_keeps_its_version(
    registry: Registry, workspace: Workspace
) -> None:
    first, second = run_with_model(workspace), run_with_model(workspace, content="other")
    assert [registry.register(run).number for run in (first, second, first)] == [1, 2, 1]
    assert registry.register(first, "other").ref == "model:other@1"
    assert [v.ref for v in registry.versions()] == [
        "model:delay@1",
        "model:delay@2",
        "model:other@1",
    ]


def test_a_number_is_not_given_again_when_its_folder_was_removed(
    registry: Registry, workspace: Workspace
) -> None:
    version = registry.register(run_with_model(workspace))
    shutil.rmtree(version.folder)
    assert registry.register(run_with_model(workspace)).number == 2
    with pytest.raises(Refused) as refusal:
        registry.verify("delay@1")
    assert refusal.value.reference == "model-tampered"


def test_aliases_move_and_are_events(
    registry: Registry, workspace: Workspace, ledger: Ledger
) -> None:
    for content in ("one", "two"):
        registry.register(run_with_model(workspace, content=content))
    registry.alias("delay", "champion", 1)
    assert registry.get("delay@champion").number == 1
    registry.alias("delay", "champion", 2)
    registry.alias("delay", "champion", 2)
    assert registry.get("model:delay@champion").number == 2
    assert registry.get("delay").number == registry.get("delay@latest").number == 2
    assert [v.aliases for v in registry.versions("delay")] == [(), ("champion",)]
    assert ledger.count(Query(kind="model.aliased")) == 2


@pytest.mark.parametrize("name", ["delay@3", "delay@nobody", "other", "", "delay@"])
def test_what_there_is_not_is_not_found(
    registry: Registry, workspace: Workspace, name: str
) -> None:
    if name != "delay@":
        registry.register(run_with_model(workspace))
    with pytest.raises(NotFound) as missing:
        registry.get(name)
    assert missing.value.reference == "model-not-found"


@pytest.mark.parametrize("alias", ["2", "Champion", "a b", "latest", ""])
def test_an_alias_cannot_look_like_a_version(
    registry: Registry, workspace: Workspace, alias: str
) -> None:
    registry.register(run_with_model(workspace))
    with pytest.raises(Refused) as refusal:
        registry.alias("delay", alias, 1)
    assert refusal.value.reference == "model-name-invalid"


def test_only_a_finished_run_with_an_unchanged_model_is_registered(
    registry: Registry, workspace: Workspace
) -> None:
    with (
        start("open", workspace=workspace, details={"model": "delay"}) as run,
        pytest.raises(Refused) as unfinished,
    ):
        registry.register(run.id)
    assert unfinished.value.reference == "run-unfinished"
    with pytest.raises(NotFound) as without:
        registry.register(run.id)
    assert without.value.reference == "run-without-model"
    changed = run_with_model(workspace)
    (workspace.runs / changed / "artifacts/model/model.pkl").write_text("evil")
    with pytest.raises(Refused) as refusal:
        registry.register(changed)
    assert refusal.value.reference == "artifact-changed"
    assert registry.versions() == []


def _change(folder: Path) -> str:
    path = folder / "mlflow/model.pkl"
    path.chmod(0o644)
    path.write_text("evil")
    return "changed: mlflow/model.pkl"


def _add(folder: Path) -> str:
    (folder / "mlflow/code/more.py").write_text("import os\n")
    return "added: mlflow/code/more.py"


def _hide(folder: Path) -> str:
    (folder / ".gitattributes").write_text("x")
    return "added: .gitattributes"


def _remove(folder: Path) -> str:
    (folder / "mlflow/code/own.py").unlink()
    return "removed: mlflow/code/own.py"


def _link(folder: Path) -> str:
    (folder / "mlflow/model.pkl").unlink()
    (folder / "mlflow/model.pkl").symlink_to("/etc/hostname")
    return "mlflow/model.pkl"


@pytest.mark.parametrize("tamper", [_change, _add, _hide, _remove, _link])
def test_a_tampered_version_is_refused_and_its_file_named(
    registry: Registry, workspace: Workspace, ledger: Ledger, tamper: object
) -> None:
    version = registry.register(run_with_model(workspace))
    named = tamper(version.folder)  # type: ignore[operator]
    with pytest.raises(Refused) as refusal:
        registry.verify("delay@1")
    assert refusal.value.reference == "model-tampered"
    assert named in refusal.value.message
    assert ledger.count(Query(kind="model.refused", subject=version.ref)) == 1


def test_a_version_signed_again_by_the_same_key_is_still_refused(
    registry: Registry, workspace: Workspace
) -> None:
    version = registry.register(run_with_model(workspace))
    _change(version.folder)
    version.folder.joinpath("model.sig").unlink()
    signing.sign(version.folder, workspace.keys / signing.PRIVATE)
    signing.verify(version.folder, registry.public_key)
    with pytest.raises(Refused) as refusal:
        registry.verify("delay@1")
    assert refusal.value.reference == "model-tampered"
    assert "ledger" in refusal.value.message


@pytest.mark.parametrize(
    "signature", [None, b"", b"{}", b"[]", b"\xff\xfe", b'{"dsseEnvelope": {}}', "another key"]
)
def test_an_unsigned_version_is_refused(
    registry: Registry, workspace: Workspace, tmp_path: Path, signature: bytes | str | None
) -> None:
    version = registry.register(run_with_model(workspace))
    path = version.folder / "model.sig"
    path.unlink()
    if isinstance(signature, bytes):
        path.write_bytes(signature)
    elif signature is not None:
        signing.make_key(tmp_path / "others")
        signing.sign(version.folder, tmp_path / "others" / signing.PRIVATE)
    with pytest.raises(Refused) as refusal:
        registry.verify("delay@1")
    assert refusal.value.reference == "model-unsigned"


def test_a_forged_payload_under_a_real_signature_is_refused(
    registry: Registry, workspace: Workspace
) -> None:
    version = registry.register(run_with_model(workspace))
    other = registry.register(run_with_model(workspace, content="evil"))
    bundle = json.loads((version.folder / "model.sig").read_bytes())
    foreign = json.loads((other.folder / "model.sig").read_bytes())
    foreign["dsseEnvelope"]["signatures"] = bundle["dsseEnvelope"]["signatures"]
    (other.folder / "model.sig").unlink()
    (other.folder / "model.sig").write_text(json.dumps(foreign))
    with pytest.raises(Refused) as refusal:
        registry.verify("delay@2")
    assert refusal.value.reference == "model-unsigned"


def test_the_key_is_its_owners_alone(workspace: Workspace) -> None:
    public = signing.make_key(workspace.keys)
    before = public.read_bytes()
    assert signing.make_key(workspace.keys).read_bytes() == before
    private = workspace.keys / signing.PRIVATE
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert stat.S_IMODE(workspace.keys.stat().st_mode) == 0o700
    private.chmod(0o644)
    folder = workspace.root / "some"
    folder.mkdir()
    (folder / "a").write_text("a")
    with pytest.raises(Refused) as exposed:
        signing.sign(folder, private)
    assert exposed.value.reference == "signing-key-exposed"
    private.unlink()
    with pytest.raises(NotFound) as missing:
        signing.sign(folder, private)
    assert missing.value.reference == "signing-key-missing"


def test_the_card_says_what_the_facts_say(registry: Registry, workspace: Workspace) -> None:
    version = registry.register(run_with_model(workspace))
    card, facts = version.card.read_text(), json.loads(version.facts.read_text())
    assert card.startswith("# delay version 1\n")
    assert "| auc | 0.7 |" in card
    assert "| depth | 3 |" in card
    assert f"triune reproduce {version.run.partition(':')[2]}" in card
    assert facts["files"]["mlflow/model.pkl"].startswith("sha256:")
    assert facts["run"]["metrics"] == {"auc": 0.7}
