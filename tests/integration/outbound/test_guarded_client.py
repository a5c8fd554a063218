"""The guarded client against real servers: where it goes, what it sends, when it gives up."""

import datetime as dt
import ssl
import threading
import time
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from core.kernel.egress import EgressPolicy, parse_policy
from core.toolkit.outbound import Fault, GuardedClient, OutboundError, OutboundRequest, parse_target
from tests.loopback import Answer, serve

LOOPBACK = parse_policy(["127.0.0.1/32"])


def _request(url, *, method="GET", timeout=5.0, **rest):
    return OutboundRequest(method=method, target=parse_target(url), timeout_seconds=timeout, **rest)


def _fault(client, request):
    with pytest.raises(OutboundError) as caught:
        client.send(request)
    return caught.value.fault


class Resolver:
    """A name service that answers differently each time."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def __call__(self, host, port):
        self.asked.append((host, port))
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


# --- where it goes -------------------------------------------------------------------------------


def test_an_allowed_address_is_asked_and_the_name_is_kept(site):
    resolver = Resolver(["127.0.0.1"])
    client = GuardedClient(policy=LOOPBACK, resolver=resolver)

    answer = client.send(_request(f"http://Deployer.Example:{site.port}/a?b=c"))

    assert answer.status == 200
    assert site.received[0].headers["host"] == f"deployer.example:{site.port}"
    assert site.received[0].path == "/a?b=c"
    assert resolver.asked == [("deployer.example", site.port)]


def test_a_private_address_is_refused_before_any_connection(site):
    client = GuardedClient(policy=EgressPolicy())

    assert _fault(client, _request(site.url)) is Fault.DENIED
    assert _fault(client, _request(f"http://localhost:{site.port}")) is Fault.DENIED
    assert _fault(client, _request(f"http://[::ffff:127.0.0.1]:{site.port}")) is Fault.DENIED
    assert _fault(client, _request(f"http://[::ffff:7f00:1]:{site.port}")) is Fault.DENIED
    assert site.received == []


def test_an_endpoint_of_the_policy_is_allowed_and_its_neighbours_are_not(
    site, other_site, free_port
):
    client = GuardedClient(policy=parse_policy([f"127.0.0.1:{site.port}"]))

    assert client.send(_request(site.url)).status == 200
    assert _fault(client, _request(f"http://127.0.0.2:{site.port}")) is Fault.DENIED
    assert _fault(client, _request(f"http://127.0.0.1:{free_port}")) is Fault.DENIED
    assert other_site.received == []


def test_the_metadata_service_is_refused_under_any_name():
    client = GuardedClient(
        policy=parse_policy(["metadata.example:80", "127.0.0.1/32"]),
        resolver=Resolver(["169.254.169.254"]),
    )

    for host in ("metadata.example", "169.254.169.254", "[::ffff:169.254.169.254]"):
        assert _fault(client, _request(f"http://{host}/latest/meta-data/")) is Fault.DENIED


def test_a_name_that_is_rebound_after_the_check_changes_nothing(site, other_site):
    resolver = Resolver(["127.0.0.1"], ["127.0.0.2"])
    client = GuardedClient(policy=LOOPBACK, resolver=resolver)

    first = client.send(_request(f"http://rebind.example:{site.port}/first"))
    second = _fault(client, _request(f"http://rebind.example:{site.port}/second"))

    assert first.status == 200
    assert second is Fault.DENIED
    assert len(resolver.asked) == 2, "each request asks the name service once"
    assert [received.path for received in site.received] == ["/first"]
    assert other_site.received == []


def test_a_name_with_one_forbidden_address_is_refused_altogether(site):
    client = GuardedClient(policy=LOOPBACK, resolver=Resolver(["127.0.0.1", "127.0.0.2"]))

    assert _fault(client, _request(f"http://mixed.example:{site.port}")) is Fault.DENIED
    assert site.received == []


def test_the_next_address_of_a_name_is_tried_when_one_refuses(site):
    policy = parse_policy(["127.0.0.1/32", "::1/128"])
    client = GuardedClient(policy=policy, resolver=Resolver(["::1", "127.0.0.1"]))

    assert client.send(_request(f"http://two.example:{site.port}")).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "017700000001",
        "127.1",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "127.0.0.1.",
        "127.0.0.01",
        "①②⑦.0.0.1",
        "localhost%00",
        "a b",
        "a\tb",
        "a\\b",
        "[fe80::1%25eth0]",
        "user@127.0.0.1",
        "",
        "münchen.example",
        "-a.example",
        "a..b",
        "0x.",
        "[::1",
        "a" * 64,
    ],
)
def test_a_host_that_parsers_read_differently_is_refused(host):
    with pytest.raises(OutboundError) as caught:
        parse_target(f"http://{host}:80/")

    assert caught.value.fault is Fault.INVALID


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/",
        "file:///etc/passwd",
        "//a.example/",
        "a.example",
        "gopher://a:70/_x",
        "http://a.example:99999/",
        "http://a.example:0/",
        "http://a.example/\r\nX: y",
        "http://a.example/" + "x" * 4000,
    ],
)
def test_a_url_that_is_not_plain_http_is_refused(url):
    with pytest.raises(OutboundError) as caught:
        parse_target(url)

    assert caught.value.fault is Fault.INVALID


def test_a_url_is_taken_apart_once():
    target = parse_target("HTTPS://A.Example/ü/%41?q=[1]&x#fragment")

    assert (target.scheme, target.host, target.port) == ("https", "a.example", 443)
    assert target.path == "/%C3%BC/%41?q=%5B1%5D&x"
    assert target.label == "https://a.example:443/%C3%BC/%41"
    assert target.authority == "a.example"
    assert parse_target("http://[::1]:8080").authority == "[::1]:8080"


def test_redirects_are_not_followed(site, other_site):
    site.answer = lambda _: Answer(
        status=302, headers={"Location": f"http://127.0.0.2:{other_site.port}/secret"}
    )
    client = GuardedClient(policy=LOOPBACK)

    answer = client.send(_request(site.url))

    assert answer.status == 302
    assert other_site.received == []
    assert len(site.received) == 1


def test_proxies_of_the_environment_are_ignored(site, other_site, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.2:{other_site.port}")

    answer = GuardedClient(policy=LOOPBACK).send(_request(site.url))

    assert answer.status == 200
    assert other_site.received == []


# --- what it sends -------------------------------------------------------------------------------


def test_method_headers_and_body_arrive_as_given(site):
    client = GuardedClient(policy=LOOPBACK)

    client.send(_request(site.url, method="PUT", headers=[("X-A", "b")], body=b"x" * 300_000))
    client.send(_request(site.url, method="POST"))

    first, second = site.received
    assert (first.method, first.headers["x-a"], len(first.body)) == ("PUT", "b", 300_000)
    assert first.headers["accept-encoding"] == "identity"
    assert (second.headers["content-length"], second.body) == ("0", b"")


def _authority():
    """Make a certificate authority and a certificate for one name."""
    now = dt.datetime.now(dt.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, n)]) for n in ("ca", "leaf")]
    made = []
    for index in range(2):
        builder = (
            x509.CertificateBuilder()
            .subject_name(names[index])
            .issuer_name(names[0])
            .public_key(keys[index].public_key())
            .serial_number(index + 1)
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=index == 0, path_length=None), critical=True)
        )
        if index == 1:
            alternatives = x509.SubjectAlternativeName([x509.DNSName("secure.example")])
            builder = builder.add_extension(alternatives, critical=False)
        made.append(builder.sign(keys[0], hashes.SHA256()))
    return made[0], made[1], keys[1]


@pytest.fixture
def tls(tmp_path):
    """Serve HTTPS for secure.example; yields the site, the names clients asked for, the trust."""
    authority, certificate, key = _authority()
    pem = serialization.Encoding.PEM
    (tmp_path / "ca.pem").write_bytes(authority.public_bytes(pem))
    (tmp_path / "leaf.pem").write_bytes(
        certificate.public_bytes(pem)
        + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "leaf.pem")
    asked = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    trust = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    for found in serve("127.0.0.1", context=context):
        yield found, asked, trust


def test_tls_speaks_to_the_pinned_address_under_the_name_of_the_url(tls):
    site, asked, trust = tls
    client = GuardedClient(policy=LOOPBACK, resolver=Resolver(["127.0.0.1"]), ssl_context=trust)

    answer = client.send(_request(f"https://secure.example:{site.port}/", body=b"x", method="POST"))

    assert answer.status == 200
    assert asked == ["secure.example"]
    assert site.received[0].headers["host"] == f"secure.example:{site.port}"


def test_a_certificate_for_another_name_or_of_unknown_issue_is_refused(tls):
    site, _, trust = tls
    resolver = Resolver(["127.0.0.1"])
    trusting = GuardedClient(policy=LOOPBACK, resolver=resolver, ssl_context=trust)
    strict = GuardedClient(policy=LOOPBACK, resolver=resolver)

    assert _fault(trusting, _request(f"https://wrong.example:{site.port}")) is Fault.CONNECTION
    assert _fault(strict, _request(f"https://secure.example:{site.port}")) is Fault.CONNECTION
    assert site.received == []


# --- when it gives up ----------------------------------------------------------------------------


def test_nobody_listening_is_a_connection_fault(free_port):
    client = GuardedClient(policy=LOOPBACK)

    assert _fault(client, _request(f"http://127.0.0.1:{free_port}")) is Fault.CONNECTION


def test_a_name_without_address_is_a_connection_fault():
    def fail(_host, _port):
        raise OSError(-2, "Name or service not known")

    for resolver in (fail, Resolver([])):
        client = GuardedClient(policy=LOOPBACK, resolver=resolver)
        assert _fault(client, _request("http://nowhere.example")) is Fault.CONNECTION


def test_a_slow_name_service_is_a_timeout():
    release = threading.Event()

    def hang(_host, _port):
        release.wait(10)
        return []

    client = GuardedClient(policy=LOOPBACK, resolver=hang)
    try:
        assert _fault(client, _request("http://slow.example", timeout=0.1)) is Fault.TIMEOUT
    finally:
        release.set()


def test_a_server_that_never_answers_is_a_timeout(raw_site):
    url = raw_site(lambda _connection, stop: stop.wait(10))

    assert _fault(GuardedClient(policy=LOOPBACK), _request(url, timeout=0.2)) is Fault.TIMEOUT


def test_a_server_that_drips_cannot_outlast_the_deadline(raw_site):
    def drip(connection, stop):
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
        while not stop.wait(0.03):
            connection.sendall(b"x")

    started = time.monotonic()
    fault = _fault(GuardedClient(policy=LOOPBACK), _request(raw_site(drip), timeout=0.4))

    assert fault is Fault.TIMEOUT
    assert time.monotonic() - started < 3


def test_a_server_that_does_not_read_cannot_outlast_the_deadline(raw_site):
    url = raw_site(lambda _connection, stop: stop.wait(10))
    request = _request(url, method="POST", body=b"x" * 30_000_000, timeout=0.4)

    assert _fault(GuardedClient(policy=LOOPBACK), request) is Fault.TIMEOUT


def test_an_answer_over_the_bound_is_cut_off(site):
    client = GuardedClient(policy=LOOPBACK, answer_bytes_max=1_000)
    site.answer = lambda received: Answer(body=b"x" * int(received.path[1:]))

    assert len(client.send(_request(f"{site.url}/1000")).body) == 1_000
    assert _fault(client, _request(f"{site.url}/1001")) is Fault.TOO_LARGE


def test_an_endless_answer_without_length_is_cut_off(raw_site):
    def flood(connection, stop):
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not stop.is_set():
            connection.sendall(b"x" * 65_536)

    client = GuardedClient(policy=LOOPBACK, answer_bytes_max=100_000)

    assert _fault(client, _request(raw_site(flood))) is Fault.TOO_LARGE


def test_a_compressed_answer_nobody_asked_for_is_refused(site):
    site.answer = lambda _: Answer(headers={"Content-Encoding": "gzip"}, body=b"\x1f\x8b")

    assert _fault(GuardedClient(policy=LOOPBACK), _request(site.url)) is Fault.PROTOCOL


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 200 OK\r\nContent-"])
def test_an_answer_that_is_not_http_or_breaks_off_is_a_connection_fault(raw_site, said):
    def talk(connection, _stop):
        connection.recv(65_536)
        connection.sendall(said)

    fault = _fault(GuardedClient(policy=LOOPBACK), _request(raw_site(talk)))

    assert fault is Fault.CONNECTION


def test_messages_do_not_show_the_query(free_port):
    client = GuardedClient(policy=parse_policy([str(ip_address("127.0.0.1"))]))

    with pytest.raises(OutboundError) as caught:
        client.send(_request(f"http://127.0.0.1:{free_port}/x?token=hidden"))

    assert "hidden" not in caught.value.message
    assert f"127.0.0.1:{free_port}/x" in caught.value.message
