"""What auditors type: exports that are asked for, waited for, and downloaded through breaks."""

import hashlib
import json

import pytest

from countersign.cli import exports
from tests.integration.countersign.conftest import RUN_ID, problem
from tests.loopback import Answer

EXPORT_ID = "01890a5d-ac96-774b-bcce-b302099a8099"
CONTENT = bytes(range(256)) * 40
PATH = f"ledger/exports/{EXPORT_ID}/"


def an_export(**changes):
    return {
        "id": EXPORT_ID,
        "status": "ready",
        "done_count": 12,
        "total_count": 12,
        "unsealed_count": 0,
        "is_complete": True,
        "size_bytes": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "file_name": "countersign-run.zip",
        "error_code": "",
        **changes,
    }


@pytest.fixture
def exporter(server, monkeypatch, tmp_path):
    monkeypatch.setattr(exports, "_POLL_SECONDS_MIN", 0.001)
    monkeypatch.setattr(exports, "_POLL_SECONDS_MAX", 0.001)
    monkeypatch.chdir(tmp_path)
    states = [
        an_export(status="running", done_count=0, total_count=12),
        an_export(status="running", done_count=6),
        an_export(),
    ]
    server.on("POST ledger/exports/", an_export(status="queued", total_count=None))
    server.on(f"GET {PATH}", lambda _: states.pop(0) if len(states) > 1 else states[0])
    server.on(f"GET {PATH}download/", Answer(body=CONTENT))
    return server


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        (("run", RUN_ID), {"kind": "run", "run_id": RUN_ID, "format": "bundle"}),
        (("project", "-f", "csv"), {"kind": "project", "project": "shop", "format": "csv"}),
        (
            ("period", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "--format", "ocsf"),
            {
                "kind": "period",
                "since": "2026-01-01T00:00:00Z",
                "until": "2026-02-01T00:00:00Z",
                "format": "ocsf",
            },
        ),
        (("whole",), {"kind": "whole", "format": "bundle"}),
    ],
)
def test_an_export_is_asked_for_and_downloaded(type_in, exporter, tmp_path, typed, sent):
    result = type_in("export", *typed, "-o", "out.zip")

    assert result.exit_code == 0, result.output
    assert exporter.bodies("POST ledger/exports/") == [sent]
    assert (tmp_path / "out.zip").read_bytes() == CONTENT
    assert not (tmp_path / "out.zip.part").exists()
    assert "6 of 12 entries" in result.stderr


def test_without_a_name_the_file_has_the_servers(type_in, exporter, tmp_path):
    result = type_in("export", "whole", "--json")

    assert json.loads(result.stdout)["path"] == "countersign-run.zip"
    assert (tmp_path / "countersign-run.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["../up.zip", "/tmp/up.zip", "a/../../up.zip"])
def test_a_server_chooses_no_folder(type_in, exporter, tmp_path, monkeypatch, name):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    exporter.on(f"GET {PATH}", an_export(file_name=name))

    result = type_in("export", "whole", "--json")

    assert json.loads(result.stdout)["path"] == "up.zip"
    assert (here / "up.zip").read_bytes() == CONTENT
    assert not (tmp_path / "up.zip").exists()


def test_a_download_that_breaks_off_goes_on(type_in, exporter, tmp_path):
    half = len(CONTENT) // 2

    def cut(received):
        headers = {name.lower(): value for name, value in dict(received.headers).items()}
        if "range" not in headers:
            return Answer(body=CONTENT[:half], headers={"Content-Length": str(len(CONTENT))})
        assert headers["range"] == f"bytes={half}-"
        return Answer(status=206, body=CONTENT[half:])

    exporter.on(f"GET {PATH}download/", cut)

    result = type_in("export", "whole", "-o", "out.zip")

    assert result.exit_code == 0, result.output
    assert (tmp_path / "out.zip").read_bytes() == CONTENT
    assert "broke off" in result.stderr


def test_another_file_than_promised_is_not_kept_under_its_name(type_in, exporter, tmp_path):
    exporter.on(f"GET {PATH}download/", Answer(body=bytes(len(CONTENT))))

    result = type_in("export", "whole", "-o", "out.zip")

    assert result.exit_code == 1
    assert "SHA-256" in result.output
    assert not (tmp_path / "out.zip").exists()


def test_an_export_that_fails_says_why(type_in, exporter):
    failed = an_export(status="failed", error_code="audit.export_too_large")
    exporter.on(f"GET {PATH}", failed)

    result = type_in("export", "whole")

    assert result.exit_code != 0
    assert "audit.export_too_large" in result.output


def test_what_the_server_refuses_is_said(type_in, exporter):
    refusal = problem(410, code="audit.export_expired", detail="The file is gone.")
    exporter.on(f"GET {PATH}download/", refusal)

    result = type_in("export", "whole", "-o", "out.zip")

    assert result.exit_code == 1
    assert "audit.export_expired" in result.output


def test_what_is_not_in_it_is_said(type_in, exporter):
    exporter.on(f"GET {PATH}", an_export(is_complete=False, unsealed_count=3))

    result = type_in("export", "whole", "-o", "out.zip")

    assert result.exit_code == 0
    assert "3 entries were not sealed" in result.stderr
