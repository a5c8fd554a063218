"""The generated reference says what the code says."""

import pytest

from core.toolkit.api.reference import render_errors, render_openapi
from countersign.cli.reference import render_cli
from tests.architecture.sources import ROOT

RENDERED = {"errors.md": render_errors, "openapi.yaml": render_openapi, "cli.md": render_cli}


@pytest.mark.parametrize("name", sorted(RENDERED))
def test_writing_the_reference_again_changes_nothing(name):
    written = (ROOT / "docs/reference" / name).read_text(encoding="utf-8")

    assert RENDERED[name]() == written, "run manage.py write_reference"
