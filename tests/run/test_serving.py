"""Online reads against training rows of the same instant."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given

from featurestore.online.lmdb import LMDBOnlineStore
from featurestore.online.memory import MemoryOnlineStore
from featurestore.online.sqlite import SQLiteOnlineStore
from tests.generated import FEW, MANY
from tests.run.serving_cases import Project, assert_served_as_trained, projects


@MANY
@given(projects())
def test_what_is_served_is_what_training_answers_at_the_same_instant(project: Project) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert_served_as_trained(project, Path(folder), MemoryOnlineStore())


@FEW
@given(projects())
def test_what_lmdb_serves_is_what_training_answers(project: Project) -> None:
    with tempfile.TemporaryDirectory() as folder, LMDBOnlineStore(Path(folder) / "online.lmdb") as online:
        assert_served_as_trained(project, Path(folder), online)


@FEW
@given(projects())
def test_what_sqlite_serves_is_what_training_answers(project: Project) -> None:
    with tempfile.TemporaryDirectory() as folder, SQLiteOnlineStore(Path(folder) / "online.db") as online:
        assert_served_as_trained(project, Path(folder), online)
