"""The migrations say what the models say, in one line each."""

import pytest
from django.apps import apps
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

from tests.architecture.sources import ROOT

LABELS = {
    "identity": "core/identity",
    "audit": "audit",
    "engine": "engine",
    "approvals": "approvals",
}


@pytest.fixture(scope="module")
def loader() -> MigrationLoader:
    return MigrationLoader(None)  # reads files, no database


def test_no_model_has_changed_since_its_last_migration(loader):
    detector = MigrationAutodetector(loader.project_state(), ProjectState.from_apps(apps))

    changes = detector.changes(graph=loader.graph)

    ours = {label: found for label, found in changes.items() if label in LABELS}
    assert ours == {}, "run manage.py makemigrations"


@pytest.mark.parametrize("label", sorted(LABELS))
def test_the_migrations_of_an_app_end_in_one_place(loader, label):
    leaves = loader.graph.leaf_nodes(label)

    assert len(leaves) == 1, leaves


@pytest.mark.parametrize("label", sorted(LABELS))
def test_every_migration_is_named_by_what_it_does(label):
    folder = ROOT / LABELS[label] / "migrations"
    unnamed = [path.name for path in folder.glob("[0-9]*.py") if "_auto_" in path.name]

    assert unnamed == []
