"""Commit, environment and feature code: what a run was made with."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.tiny_workspace import commit_all, git, tiny_workspace
from triune.core.errors import NotFound, Refused
from triune.core.workspace import Workspace
from triune.models import environment, provenance, worktree
from triune.models.environment import Difference, Environment
from triune.models.training import sources


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return tiny_workspace(tmp_path / "tiny")


def test_a_clean_tree_is_its_commit(workspace: Workspace) -> None:
    commit = provenance.current(workspace.root)
    assert commit.key == git(workspace.root, "rev-parse", "HEAD").strip()
    assert (commit.diff, commit.untracked) == (b"", ())


def test_a_dirty_tree_keeps_its_difference_with_new_files(workspace: Workspace) -> None:
    root = workspace.root
    (root / "src/tiny/train.py").write_text("changed = True\n")
    (root / 'src/tiny/new "file".py').write_text("new = True\n")
    (root / "src/tiny/binary.bin").write_bytes(bytes(range(256)))
    (root / "large.bin").write_bytes(b"x" * (provenance.LARGEST_NEW_FILE + 1))
    before = git(root, "status", "--porcelain")
    commit = provenance.current(root)
    assert commit.key.startswith(f"{commit.sha}+dirty.")
    assert commit.left_out == ("large.bin",)
    assert "src/tiny/binary.bin" in commit.untracked
    assert git(root, "status", "--porcelain") == before
    assert provenance.current(root).key == commit.key


def test_a_checkout_gives_back_the_dirty_tree_and_leaves_nothing(workspace: Workspace) -> None:
    root, commits = workspace.root, workspace.state / "commits"
    (root / "src/tiny/train.py").write_text("changed = True\n")
    (root / "src/tiny/binary.bin").write_bytes(bytes(range(256)))
    commit = provenance.current(root)
    provenance.store(commit, commits, workspace="tiny")
    git(root, "checkout", "--", ".")
    (root / "src/tiny/binary.bin").unlink()
    scratch = workspace.home / "reproduce"
    stale = scratch / "stale"
    stale.mkdir(parents=True)
    (stale / "lock").touch()
    with worktree.checkout(root, commit.key, commits=commits, scratch=scratch) as copy:
        assert (copy / "src/tiny/train.py").read_text() == "changed = True\n"
        assert (copy / "src/tiny/binary.bin").read_bytes() == bytes(range(256))
        assert (copy / "triune.toml").is_file()
    assert list(scratch.iterdir()) == []
    assert git(root, "worktree", "list").count("\n") == 1


def test_a_workspace_below_the_top_of_its_repository(tmp_path: Path) -> None:
    inner = tiny_workspace(tmp_path / "repository" / "examples" / "tiny")
    import shutil

    shutil.rmtree(inner.root / ".git")
    top = tmp_path / "repository"
    (top / "other.txt").write_text("before")
    git(top, "init", "--quiet")
    commit_all(top, "begin")
    (top / "other.txt").write_text("outside the workspace")
    assert provenance.current(inner.root).diff == b""
    (inner.root / "src/tiny/helpers.py").write_text("inside = 1\n")
    commit = provenance.current(inner.root)
    provenance.store(commit, inner.state / "commits", workspace="tiny")
    commits, scratch = inner.state / "commits", inner.home / "reproduce"
    with worktree.checkout(inner.root, commit.key, commits=commits, scratch=scratch) as copy:
        assert (copy / "src/tiny/helpers.py").read_text() == "inside = 1\n"


def test_a_damaged_or_lost_difference_is_refused(workspace: Workspace) -> None:
    root, commits = workspace.root, workspace.state / "commits"
    (root / "src/tiny/train.py").write_text("changed = True\n")
    commit = provenance.current(root)
    provenance.store(commit, commits, workspace="tiny")
    patch = provenance.patch_path(commits, commit.key)
    patch.write_bytes(patch.read_bytes().replace(b"True", b"None"))
    scratch = workspace.home / "reproduce"
    with (
        pytest.raises(Refused) as damaged,
        worktree.checkout(root, commit.key, commits=commits, scratch=scratch),
    ):
        pass
    assert damaged.value.reference == "artifact-corrupt"
    patch.unlink()
    with (
        pytest.raises(NotFound) as lost,
        worktree.checkout(root, commit.key, commits=commits, scratch=scratch),
    ):
        pass
    assert lost.value.reference == "commit-gone"
    with (
        pytest.raises(NotFound),
        worktree.checkout(root, "0" * 40, commits=commits, scratch=scratch),
    ):
        pass
    assert list(scratch.iterdir()) == []


def test_no_repository_and_no_commit_are_said(tmp_path: Path) -> None:
    for prepare in ([], [["git", "init", "--quiet", str(tmp_path)]]):
        for command in prepare:
            subprocess.run(command, check=True)
        with pytest.raises(Refused) as refusal:
            provenance.current(tmp_path)
        assert refusal.value.reference == "commit-missing"
        assert "git init" in str(refusal.value.hint)


def test_the_environment_is_stable_and_remembered(tmp_path: Path) -> None:
    first = environment.current()
    assert first.packages["msgspec"]
    assert first.key == environment.current().key
    cache = tmp_path / "environment.json"
    assert environment.remembered(cache) == environment.remembered(cache) == first


def test_one_package_changes_the_environment_and_is_named() -> None:
    before = Environment("3.11.2", "Linux-x86_64", {"numpy": "1.0", "old": "1"})
    now = Environment("3.11.2", "Linux-x86_64", {"numpy": "2.0", "new": "1"})
    assert before.key != now.key
    assert environment.differences(before, now) == [
        Difference("new", None, "1"),
        Difference("numpy", "1.0", "2.0"),
        Difference("old", "1", None),
    ]
    assert environment.differences(before, before) == []


def test_an_environment_is_told_by_the_same_event_every_time(tmp_path: Path) -> None:
    one = Environment("3.11.2", "Linux-x86_64", {"numpy": "1.0"})
    first = environment.recorded(one, tmp_path, workspace="w", lock="sha256:1")
    again = environment.recorded(one, tmp_path, workspace="w", lock="sha256:1")
    assert first.id == again.id
    assert environment.load(tmp_path, one.key) == one


def test_the_lock_file_of_the_repository_is_found(tmp_path: Path) -> None:
    inner = tmp_path / "examples" / "x"
    inner.mkdir(parents=True)
    assert environment.lock_digest(inner) is None
    (tmp_path / "requirements.lock").write_text("a==1\n")
    found = environment.lock_digest(inner)
    assert found is not None
    (inner / ".git").mkdir()
    assert environment.lock_digest(inner) is None


def test_feature_code_is_hashed_with_what_it_imports(workspace: Workspace) -> None:
    code, name = workspace.root / "src", "tiny.features:shape"
    before = sources.digest(name, code)
    (code / "tiny/train.py").write_text("unrelated = 1\n")
    assert sources.digest(name, code) == before
    (code / "tiny/helpers.py").write_text("def product(points):\n    return points.a\n")
    after_helper = sources.digest(name, code)
    assert after_helper != before
    (code / "tiny/__init__.py").write_text("x = 1\n")
    assert sources.digest(name, code) not in (before, after_helper)


@pytest.mark.parametrize(
    "line", ["from . import helpers", "from .helpers import product", "import tiny.helpers"]
)
def test_every_way_to_import_is_followed(workspace: Workspace, line: str) -> None:
    code = workspace.root / "src"
    (code / "tiny/features.py").write_text(f"{line}\n")
    before = sources.digest("tiny.features:shape", code)
    (code / "tiny/helpers.py").write_text("changed = 1\n")
    assert sources.digest("tiny.features:shape", code) != before


def test_a_module_that_is_not_there_is_said(workspace: Workspace) -> None:
    with pytest.raises(NotFound) as missing:
        sources.digest("tiny.nothing:shape", workspace.root / "src")
    assert missing.value.reference == "entry-point-source"
