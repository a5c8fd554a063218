"""The offline verifier is served byte for byte, to anybody."""

import hashlib
from pathlib import Path

import pytest
from django.test import Client

from audit.portal.verifier import get_verifier_digest
from tests.architecture.sources import ROOT

ADDRESS = "/ledger/countersign_verify.py"
FILE: Path = ROOT / "countersign/verify.py"


@pytest.mark.django_db
def test_anybody_gets_the_file_as_it_is():
    answer = Client().get(ADDRESS)

    assert answer.status_code == 200
    assert answer.content == FILE.read_bytes()
    assert answer["Content-Disposition"] == 'attachment; filename="countersign_verify.py"'
    assert answer["Content-Type"].startswith("text/x-python")


@pytest.mark.django_db
def test_a_copy_that_is_right_is_not_sent_again():
    etag = f'"{hashlib.sha256(FILE.read_bytes()).hexdigest()}"'

    answer = Client().get(ADDRESS, headers={"If-None-Match": etag})

    assert (answer.status_code, answer.content) == (304, b"")
    assert etag == f'"{get_verifier_digest()}"'


@pytest.mark.django_db
def test_nothing_can_be_posted_there():
    assert Client().post(ADDRESS).status_code in {403, 405}
