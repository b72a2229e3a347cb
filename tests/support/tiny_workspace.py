"""A whole workspace in a second: a git repository with data, features and two trainings."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from triune.core.ids import digest_file, digest_tree
from triune.core.workspace import Workspace

CONFIG = """\
[workspace]
name = "tiny"

[datasets.points]
path = "data/points"
build = "tiny.data:build"

[features.shape]
function = "tiny.features:shape"
dataset = "points"

[trainings.fit]
function = "tiny.train:fit"
dataset = "points"
features = ["shape"]
model = "points"
seed = 7
params = { steps = 5, regularisation = 1.0 }

[trainings.broken]
function = "tiny.train:broken"
dataset = "points"
model = "points"
"""

DATA = """\
from pathlib import Path
import random


def build(folder: Path) -> None:
    draw = random.Random(1)
    rows = ["id,a,b,label"]
    for number in range(200):
        a, b = draw.random(), draw.random()
        rows.append(f"{number},{a},{b},{int(a + b + draw.random() / 4 > 1.1)}")
    (folder / "points.csv").write_text("\\n".join(rows) + "\\n")
"""

FEATURES = """\
from pathlib import Path

import pandas as pd

from tiny.helpers import product


def shape(data: Path) -> pd.DataFrame:
    points = pd.read_csv(data / "points.csv", index_col="id")
    return pd.DataFrame({"sum": points.a + points.b, "product": product(points)})
"""

HELPERS = """\
def product(points):
    return points.a * points.b
"""

TRAIN = '''\
"""Trains a small classifier."""

import pandas as pd


def fit(context):
    """Tells points above the diagonal from points below."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    points = pd.read_csv(context.data / "points.csv", index_col="id")
    columns = points[["a", "b"]].join(context.features["shape"])
    noise = np.random.normal(scale=1e-3, size=columns.shape)
    for step in range(int(context.params["steps"])):
        model = LogisticRegression(C=float(context.params["regularisation"]), max_iter=step + 1)
        model.fit(columns + noise, points.label)
        context.run.log(step=step, accuracy=model.score(columns, points.label))
    context.run.log_metrics({"weight sum": float(model.coef_.sum())}, step=step)
    context.save_model(model, example=columns, predict="predict_proba", limits="Points only.")


def broken(context):
    """Fails half way."""
    context.run.log(step=0, loss=1.0)
    raise RuntimeError("the data has no such column")
'''


@dataclass(frozen=True)
class FolderVersion:
    """A dataset's content as the tests' own data service knows it."""

    ref: str
    digest: str
    path: Path


@dataclass(frozen=True)
class FolderDatasets:
    """Datasets without DVC: each version is a kept copy. Good enough for trainings."""

    workspace: Workspace

    def current(self, name: str) -> FolderVersion:
        import shutil

        path = self.workspace.root / self.workspace.config.datasets[name].path
        digest = digest_tree(path) if path.is_dir() else digest_file(path)
        ref = f"dataset:{name}@{digest[7:19]}"
        kept = self._kept(ref)
        if not kept.exists():
            shutil.copytree(path, kept)
        return FolderVersion(ref, digest, path)

    def checkout(self, version: str, folder: Path) -> Path:
        import shutil

        return Path(shutil.copytree(self._kept(version), folder, dirs_exist_ok=True))

    def _kept(self, ref: str) -> Path:
        return self.workspace.home / "test-datasets" / ref.replace(":", "-")


def tiny_workspace(root: Path) -> Workspace:
    """Write the workspace below ``root``, its data built, everything committed."""
    root.mkdir(parents=True, exist_ok=True)
    files = {
        "triune.toml": CONFIG,
        ".gitignore": ".triune/\n/data/points/\n__pycache__/\n",
        "src/tiny/__init__.py": "",
        "src/tiny/data.py": DATA,
        "src/tiny/features.py": FEATURES,
        "src/tiny/helpers.py": HELPERS,
        "src/tiny/train.py": TRAIN,
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    points = root / "data" / "points"
    points.mkdir(parents=True)
    scope: dict[str, object] = {}
    exec(DATA, scope)
    scope["build"](points)  # type: ignore[operator]
    git(root, "init", "--quiet", "--initial-branch=main")
    commit_all(root, "begin")
    return Workspace(root)


def commit_all(root: Path, message: str) -> None:
    """Commit everything git does not ignore."""
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", message)


def git(root: Path, *arguments: str) -> str:
    """Run git as nobody in particular, whatever the machine's own settings are."""
    who = {"GIT_AUTHOR_NAME": "Tiny", "GIT_AUTHOR_EMAIL": "tiny@example.org"}
    who |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in who.items()}
    done = subprocess.run(
        ["git", "-C", str(root), *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull},
    )
    return done.stdout
