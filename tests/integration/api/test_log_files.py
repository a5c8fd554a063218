"""The log's files: as the clients of transparency logs expect them, for those who may read them."""

import ipaddress
from hashlib import sha256

import pytest
from django.conf import settings as django_settings
from rest_framework.test import APIClient

from audit.domain.entry import leaf_hash
from audit.domain.merkle import Tree, check_inclusion, list_reads, tree_root
from audit.domain.notes import open_note
from audit.models import Entry, Leaf
from core.identity.seed import GLOBAL_SCOPE_ID
from core.identity.services.roles import assign_role
from core.identity.services.tokens import create_token
from core.kernel import ids
from tests.fakes.drafts import draft
from tests.integration.audit import logs
from tests.integration.audit.streams import append, open_stream

SIZE = 600


@pytest.fixture
def reader(town):
    """Return a way to get a file with the token of somebody who may read everything."""
    town.user("ada")
    assign_role(
        principal=town.system,
        role="auditor",
        scope_id=GLOBAL_SCOPE_ID,
        user_id=town.users["ada"].pk,
    )
    return _getter(town.as_("ada").client)


@pytest.fixture
def anybody():
    return _getter(APIClient())


@pytest.fixture
def sealed(reader):
    """Return the leaf hashes of a log of `SIZE` entries."""
    logs.seal()
    missing = SIZE - Leaf.objects.count()
    assert missing > 256
    append(open_stream(), *[draft(data={"n": number}) for number in range(missing)])
    logs.seal()
    return [
        bytes(leaf) for leaf in Leaf.objects.order_by("pk").values_list("entry__leaf", flat=True)
    ]


@pytest.fixture
def public(settings):
    settings.LEDGER_LOG_PUBLIC = True


def _getter(client):
    def get(path, **headers):
        return client.get(f"/ledger/log/{path}", headers=headers)

    return get


def _header(answer, name):
    return answer.headers.get(name, "")


def test_the_checkpoint_is_the_newest_tree_head(reader, sealed):
    answer = reader("checkpoint")

    assert answer.status_code == 200
    assert _header(answer, "Content-Type") == "text/plain; charset=utf-8"
    assert _header(answer, "Cache-Control") == "private, max-age=2"
    assert "Authorization" in _header(answer, "Vary")
    text = open_note(answer.content.decode(), [logs.KEY.verifier]).text
    assert text.startswith(f"{logs.ORIGIN}\n{SIZE}\n")


def test_tiles_have_the_specification_s_bytes_types_and_caching(reader, sealed):
    whole = "private, max-age=31536000, immutable"
    tops = [tree_root(sealed[:256]), tree_root(sealed[256:512])]
    expected = {
        "tile/0/000": (b"".join(sealed[:256]), whole),
        "tile/0/001": (b"".join(sealed[256:512]), whole),
        "tile/0/002.p/88": (b"".join(sealed[512:]), "private, max-age=60"),
        "tile/0/002.p/3": (b"".join(sealed[512:515]), "private, max-age=60"),
        "tile/0/000.p/255": (b"".join(sealed[:255]), "private, max-age=60"),
        "tile/1/000.p/2": (b"".join(tops), "private, max-age=60"),
        "tile/1/000.p/1": (tops[0], "private, max-age=60"),
    }
    for path, (data, caching) in expected.items():
        answer = reader(path)
        assert (path, answer.status_code, answer.content) == (path, 200, data)
        assert _header(answer, "Content-Type") == "application/octet-stream"
        assert _header(answer, "Cache-Control") == caching
        assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/002",  # not full yet
        "tile/0/002.p/89",
        "tile/0/003.p/1",
        "tile/1/000",
        "tile/1/000.p/3",
        "tile/2/000.p/1",
        "tile/63/000.p/1",
        "tile/64/000",
        "tile/0/000.p/256",
        "tile/0/000.p/300",
        "tile/0/0",
        "tile/0/x000/000",
        "tile/entries/002",
        "tile/entries/002.p/89",
        "tile/data/000",
        "tile/0/000/",
    ],
)
def test_what_no_signed_tree_has_is_not_there(reader, sealed, problem, path):
    problem(reader(path), 404, "audit.head_missing")


def test_leaves_without_a_signed_head_are_not_served(reader, sealed, problem):
    append(open_stream())
    entry_id = Entry.objects.latest("pk").pk
    Leaf.objects.create(leaf_index=SIZE, entry_id=entry_id)

    problem(reader("tile/0/002.p/89"), 404, "audit.head_missing")
    problem(reader("tile/entries/002.p/89"), 404, "audit.head_missing")


def test_an_empty_log_has_no_files(reader, problem):
    problem(reader("checkpoint"), 404, "audit.head_missing")
    problem(reader("tile/0/000.p/1"), 404, "audit.head_missing")


def test_bundles_hold_the_entries_behind_their_lengths(reader, sealed):
    for path, start, end in (
        ("tile/entries/001", 256, 512),
        ("tile/entries/002.p/88", 512, 600),
    ):
        answer = reader(path)
        assert answer.status_code == 200
        assert _header(answer, "Content-Type") == "application/octet-stream"
        data, found = answer.content, []
        while data:
            length = int.from_bytes(data[:2], "big")
            found.append(leaf_hash(data[2 : 2 + length]))
            data = data[2 + length :]
        assert found == sealed[start:end]


def test_a_client_with_nothing_but_the_files_checks_an_entry(reader, sealed):
    """Read as a C2SP client does: the checkpoint, then the tiles that a proof takes."""
    note = reader("checkpoint").content.decode()
    size = int(open_note(note, [logs.KEY.verifier]).text.splitlines()[1])
    fetched = []

    def read(level, start, count):
        partial = "" if count == 256 else f".p/{count}"
        fetched.append((level, start, count))
        data = reader(f"tile/{level}/{start // 256:03}{partial}").content
        return [data[i : i + 32] for i in range(0, len(data), 32)]

    tree = Tree(size=size, read=read)
    root = tree.root()
    bundle = reader("tile/entries/001").content
    body = bundle[2 : 2 + int.from_bytes(bundle[:2], "big")]

    check_inclusion(
        leaf=leaf_hash(body), index=256, size=size, path=tree.inclusion_path(256), root=root
    )
    assert set(fetched) >= set(list_reads([(0, size)], size=size))


def test_who_has_the_file_is_told_so(reader, sealed):
    for path in ("checkpoint", "tile/0/000", "tile/entries/000"):
        etag = _header(reader(path), "ETag")
        answer = reader(path, if_none_match=etag)

        assert answer.status_code == 304
        assert answer.content == b""
        assert _header(answer, "ETag") == etag
        assert _header(answer, "Cache-Control") == _header(reader(path), "Cache-Control")
        assert reader(path, if_none_match='"other"').status_code == 200


def test_a_file_has_one_form_whatever_is_accepted(reader, sealed):
    for accepted in ("text/html", "application/octet-stream", "image/png", "*/*"):
        assert reader("tile/0/000", accept=accepted).status_code == 200
    head = APIClient().head("/ledger/log/checkpoint")
    assert head.status_code == 401


def test_entries_may_be_compressed_on_the_way_and_hashes_stay_as_they_are(reader, sealed):
    entries = reader("tile/entries/000", accept_encoding="gzip")
    hashes = reader("tile/0/000", accept_encoding="gzip")

    assert _header(entries, "Content-Encoding") == "gzip"
    assert _header(entries, "ETag").startswith("W/")
    assert "Content-Encoding" not in hashes.headers
    assert hashes.content == b"".join(sealed[:256])
    again = reader("tile/entries/000", if_none_match=_header(entries, "ETag"))
    assert again.status_code == 304


def test_only_a_token_of_somebody_who_reads_everything_lets_in(town, anybody, sealed, problem):
    town.user("paul", "auditor")  # of one project
    paul, vera = _getter(town.as_("paul").client), _getter(town.as_("vera").client)
    for path in ("checkpoint", "tile/0/000", "tile/entries/000"):
        problem(anybody(path), 401, "api.not_authenticated")
        for refused in (paul, vera):
            problem(refused(path), 404, "audit.log_missing")


def test_a_session_is_no_token(client, town, sealed):
    client.force_login(town.users["ada"], backend="django.contrib.auth.backends.ModelBackend")

    assert client.get("/ledger/log/checkpoint").status_code == 401


def test_a_token_for_other_things_does_not_read_the_log(town, sealed, problem):
    _, secret = create_token(
        principal=town.principal("ada"), name="narrow", permissions=["view_request"]
    )
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")

    problem(_getter(client)("checkpoint"), 404, "audit.log_missing")


@pytest.mark.usefixtures("public")
def test_a_public_log_shows_hashes_to_anybody_and_entries_to_nobody_else(
    town, anybody, reader, sealed, problem
):
    answer = anybody("checkpoint")
    assert answer.status_code == 200
    assert _header(answer, "Cache-Control") == "public, max-age=2"
    assert "Authorization" not in _header(answer, "Vary")
    tile = anybody("tile/0/000")
    assert sha256(tile.content).digest() == sha256(b"".join(sealed[:256])).digest()
    assert _header(tile, "Cache-Control") == "public, max-age=31536000, immutable"

    problem(anybody("tile/entries/000"), 404, "audit.log_missing")
    problem(_getter(town.as_("vera").client)("tile/entries/000"), 404, "audit.log_missing")
    assert _header(reader("tile/entries/000"), "Cache-Control").startswith("private,")


@pytest.mark.usefixtures("public")
def test_anybody_is_limited_by_the_address_they_come_from(sealed, settings):
    settings.API_THROTTLE_RATES = {**settings.API_THROTTLE_RATES, "any": "2/3600"}
    addresses = [str(ipaddress.IPv6Address(ids.uuid7().int)) for _ in range(2)]
    client = APIClient()

    def ask(address):
        return client.get("/ledger/log/checkpoint", REMOTE_ADDR=address)

    assert [ask(addresses[0]).status_code for _ in range(3)] == [200, 200, 429]
    assert int(ask(addresses[0]).headers["Retry-After"]) > 60
    assert ask(addresses[1]).status_code == 200


def test_the_log_is_not_public_unless_it_is_said():
    assert django_settings.LEDGER_LOG_PUBLIC is False
