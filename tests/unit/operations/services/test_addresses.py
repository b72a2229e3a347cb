"""Addresses: stable, by profile, and no secret where it would be shown."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from triune.core.config import Profile
from triune.core.workspace import Workspace
from triune.operations.services.addresses import Addresses


def _addresses(root: Path, settings: str = "") -> Addresses:
    root.mkdir(exist_ok=True)
    (root / "triune.toml").write_text(f'[workspace]\nname = "x"\n{settings}')
    return Addresses(Workspace(root))


def test_local_is_files(tmp_path: Path) -> None:
    addresses = _addresses(tmp_path / "a b")
    home = (tmp_path / "a b" / ".triune").resolve()
    assert addresses.ledger_url == f"sqlite:///{home}/ledger.db"
    assert addresses.mlflow_tracking_uri == f"sqlite:///{home}/mlflow/mlflow.db"
    assert addresses.mlflow_artifact_root == (home / "mlflow" / "artifacts").as_uri()
    assert addresses.s3 is None
    assert addresses.redis_url is None
    assert addresses.mlflow_ui is None


def test_server_has_addresses_with_passwords_in_owner_only_files(tmp_path: Path) -> None:
    addresses = _addresses(tmp_path / "x", 'profile = "server"\n')
    port = addresses.port("postgres")
    password = addresses.secret("postgres")
    assert addresses.ledger_url == f"postgresql+psycopg://triune:{password}@127.0.0.1:{port}/triune"
    assert addresses.mlflow_tracking_uri.endswith(f"@127.0.0.1:{port}/mlflow")
    assert addresses.redis_url is not None
    assert addresses.secret("valkey") in addresses.redis_url
    folder = tmp_path / "x" / ".triune" / "secrets"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


def test_the_secret_key_is_not_in_the_representation(tmp_path: Path) -> None:
    s3 = _addresses(tmp_path / "x", 'profile = "server"\n').s3
    assert s3 is not None
    assert s3.secret_key not in repr(s3)
    assert s3.url in repr(s3)


def test_public_shows_no_secret_and_no_inner_ports(tmp_path: Path) -> None:
    addresses = _addresses(tmp_path / "x", 'profile = "server"\n')
    shown = (addresses.redis_url, addresses.ledger_url, addresses.envoy_admin_url)
    assert all(shown)
    assert set(addresses.public()) == {"valkey", "postgres"}
    assert addresses.secret("valkey") not in str(addresses.public())


def test_a_chosen_profile_stays_until_it_is_taken_back(tmp_path: Path) -> None:
    addresses = _addresses(tmp_path / "x")
    addresses.choose_profile(Profile.SERVER)
    assert _addresses(tmp_path / "x").profile is Profile.SERVER
    addresses.choose_profile(None)
    assert _addresses(tmp_path / "x").profile is Profile.LOCAL


@pytest.mark.parametrize("name", ["envoy", "temporal"])
def test_the_configuration_fixes_a_port(tmp_path: Path, name: str) -> None:
    addresses = _addresses(tmp_path / "x", f"[services.{name}]\nport = 23456\n")
    assert addresses.port(name) == 23456
    assert addresses.at(name) == "127.0.0.1:23456"
