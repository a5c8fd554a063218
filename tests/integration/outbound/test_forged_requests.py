"""Requests that somebody bends towards what only this machine can reach (SSRF): none arrives.

What names lead to is said by a resolver of the test; servers are real, on loopback addresses.
"""

import pytest

from core.kernel import limits
from core.kernel.egress import EgressPolicy, parse_policy
from core.kernel.types import Json
from core.toolkit.outbound import Fault, GuardedClient, OutboundError, OutboundRequest, parse_target
from engine.actions import http_request, slack_post
from engine.actions.contract import ActionCall, ActionError
from tests.loopback import Answer

# Ways to say an address that is not on the public internet, as a name service may answer.
FORBIDDEN = (
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3"),
    *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1"),
    *("169.254.169.254", "169.254.170.2", "198.18.0.1", "224.0.0.1", "255.255.255.255"),
    *("192.0.0.192", "192.0.2.1", "203.0.113.9"),
    *("::", "::1", "::1%lo", "fe80::1", "fe80::1%lo", "fec0::1", "fc00::1", "fd00:ec2::254"),
    *("ff02::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1"),
    # IPv4 inside IPv6: mapped, compatible, translated, NAT64 in both prefixes, 6to4, Teredo.
    *("::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe"),
    *("::127.0.0.1", "::ffff:0:127.0.0.1", "::ffff:0:a9fe:a9fe"),
    *("64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::127.0.0.1"),
    *("2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:a00:1::1"),
    *("2001:0:7f00:1::1", "2001::80ff:fffe", "2001:0:a9fe:a9fe:0:ffff:5601:5601"),
)
NOWHERE = EgressPolicy()


def ask(url, *, resolver, policy=NOWHERE, seconds=5.0, **more):
    client = GuardedClient(policy=policy, resolver=resolver)
    request = OutboundRequest(
        method="GET", target=parse_target(url), timeout_seconds=seconds, **more
    )
    return client.send(request)


def refusal(url, **more):
    with pytest.raises(OutboundError) as caught:
        ask(url, **more)
    return caught.value


@pytest.mark.parametrize("address", FORBIDDEN)
def test_a_name_that_leads_inside_is_refused_in_whatever_form(site, address):
    found = refusal(f"http://innocent.example:{site.port}/", resolver=lambda *_: [address])

    assert found.fault is Fault.DENIED
    assert site.received == []


@pytest.mark.parametrize("address", [item for item in FORBIDDEN if "%" not in item])
def test_an_address_in_the_url_is_refused_without_asking_anybody(site, address):
    asked: list[str] = []
    host = f"[{address}]" if ":" in address else address

    def resolve(name, _port):
        asked.append(name)
        return ["8.8.8.8"]

    found = refusal(f"http://{host}:{site.port}/", resolver=resolve)

    assert found.fault is Fault.DENIED
    assert asked == []
    assert site.received == []


@pytest.mark.parametrize("address", FORBIDDEN)
def test_one_forbidden_address_among_public_ones_is_enough(site, address):
    for found in (["8.8.8.8", address], [address, "8.8.8.8"]):
        url = f"http://innocent.example:{site.port}/"
        assert refusal(url, resolver=lambda *_, found=found: found).fault is Fault.DENIED
    assert site.received == []


@pytest.mark.parametrize(
    "host",
    [
        *("2130706433", "0x7f000001", "0x7f.1", "017700000001", "0177.0.0.1", "127.1", "127.0.1"),
        *("127.0.0.1.", "0", "0x0", "1.0x7f000001", "127.0.0.0x1", "a.1", "a.0x1"),
        *("①②⑦.⓪.⓪.①", "127。0。0。1", "\uff4cocalhost", "%31%32%37.0.0.1", "127%2e0%2e0%2e1"),
        *("[::1%25lo]", "[fe80::1%25lo]", "[127.0.0.1]", "[::ffff:127.0.0.1", "local\u00adhost"),
    ],
)
def test_a_host_written_oddly_is_no_way_in(site, host):
    with pytest.raises(OutboundError) as caught:
        ask(f"http://{host}:{site.port}/", resolver=lambda *_: ["127.0.0.1"])

    assert caught.value.fault in {Fault.INVALID, Fault.DENIED}
    assert site.received == []


@pytest.mark.parametrize(
    "url",
    [
        *("http://public.example@127.0.0.1:{port}/", "http://public.example:80@127.0.0.1:{port}/"),
        *("http://127.0.0.1:{port}\\@public.example/", "http://public.example\\@127.0.0.1:{port}/"),
        *("http://@127.0.0.1:{port}/", "http:127.0.0.1:{port}/", "http:///127.0.0.1:{port}/"),
        *("//127.0.0.1:{port}/", "file:///etc/passwd", "gopher://127.0.0.1:{port}/_x"),
        *("http://public.example\t@127.0.0.1:{port}/", "http://127.0.0.1:{port}#@public.example"),
        *("http://127.0.0.1:{port}?@public.example/", "ftp://127.0.0.1:{port}/"),
        *("http://public.example:{port}:80/", "http://public.example:99999/", "http://[::1/"),
    ],
)
def test_an_address_with_tricks_in_it_is_no_way_in(site, url):
    with pytest.raises(OutboundError) as caught:
        ask(url.format(port=site.port), resolver=lambda *_: ["127.0.0.1"])

    assert caught.value.fault in {Fault.INVALID, Fault.DENIED}
    assert site.received == []


def test_a_name_is_asked_once_and_its_answer_is_where_the_request_goes(site, other_site):
    """Rebinding: public (here: allowed) when it is judged, inside when it would be used."""
    answers = [["127.0.0.1"], ["127.0.0.2"], ["127.0.0.2"]]
    policy = parse_policy([f"127.0.0.1:{site.port}"])
    url = f"http://rebound.example:{site.port}/"

    first = ask(url, resolver=lambda *_: answers.pop(0), policy=policy)
    assert first.status == 200
    assert len(answers) == 2
    assert site.received[0].headers["host"] == f"rebound.example:{site.port}"

    second = refusal(url, resolver=lambda *_: answers.pop(0), policy=policy)
    assert second.fault is Fault.DENIED
    assert len(site.received) == 1
    assert other_site.received == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location",
    ["http://169.254.169.254/latest/", "//127.0.0.2:{port}/", "http://127.0.0.2:{port}/", "/again"],
)
def test_no_redirect_is_followed_whatever_its_status(site, other_site, status, location):
    site.answer = lambda _: Answer(
        status=status, headers={"Location": location.format(port=site.port)}
    )
    policy = parse_policy([f"127.0.0.1:{site.port}", f"127.0.0.2:{site.port}"])

    answer = ask(
        f"http://public.example:{site.port}/",
        resolver=lambda *_: ["127.0.0.1"],
        policy=policy,
        headers=[("Authorization", "Bearer x")],
    )

    assert answer.status == status
    assert len(site.received) == 1
    assert other_site.received == []


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("headers", {"X-A": "a\r\nX-Evil: 1"}),
        ("headers", {"X-A": "a\nX-Evil: 1"}),
        ("headers", {"X-A": "a\x00"}),
        ("headers", {"X-A\r\nX-Evil": "1"}),
        ("headers", {"X-A: 1": "1"}),
        ("headers", {"Host": "127.0.0.1"}),
        ("headers", {"Transfer-Encoding": "chunked"}),
        ("headers", {"content-length": "0"}),
        ("method", "GET / HTTP/1.1\r\nX-Evil: 1"),
        ("url", "http://127.0.0.1:{port}/\r\nX-Evil: 1"),
        ("url", "http://127.0.0.1:{port}/ HTTP/1.1\r\nX-Evil: 1\r\n\r\nGET /evil"),
    ],
)
def test_nothing_that_ends_a_line_gets_into_a_request(site, attempt, argument, value):
    policy = parse_policy([f"127.0.0.1:{site.port}"])
    if argument == "url":
        value = value.format(port=site.port)
    arguments = {"method": "GET", "url": f"{site.url}/", argument: value}

    with pytest.raises(ActionError) as caught:
        http_request.send_with(
            ActionCall(arguments=arguments, attempt=attempt), client=GuardedClient(policy=policy)
        )

    assert caught.value.kind == "invalid"
    assert site.received == []


@pytest.mark.parametrize("path", ["/%0d%0aX-Evil:%201", "/\u010d\u010aX-Evil", "/\u560d\u560a"])
def test_an_encoded_line_end_stays_encoded(site, attempt, path):
    policy = parse_policy([f"127.0.0.1:{site.port}"])
    arguments: dict[str, Json] = {"method": "GET", "url": f"{site.url}{path}"}

    http_request.send_with(
        ActionCall(arguments=arguments, attempt=attempt), client=GuardedClient(policy=policy)
    )

    (got,) = site.received
    assert "x-evil" not in got.headers
    assert got.path.isascii()
    assert "\n" not in got.path


def _ask_raw(url, *, seconds=1.0):
    port = url.rpartition(":")[2]
    policy = parse_policy([f"127.0.0.1:{port}"])
    return refusal(f"{url}/", resolver=lambda *_: [], policy=policy, seconds=seconds)


def test_headers_without_end_are_cut_off(raw_site):
    def talk(connection, stop):
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not stop.is_set():
            connection.sendall(b"X-Filler: " + b"x" * 60_000 + b"\r\n")

    assert _ask_raw(raw_site(talk), seconds=10.0).fault in {Fault.CONNECTION, Fault.PROTOCOL}


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 x\r\nA: b\r\n\r\n"]
)
def test_a_server_that_only_ever_announces_an_answer_cannot_outlast_the_deadline(raw_site, said):
    def talk(connection, stop):
        connection.recv(65_536)
        while not stop.wait(0.001):
            connection.sendall(said)

    assert _ask_raw(raw_site(talk)).fault is Fault.TIMEOUT


def test_a_server_that_drips_its_headers_cannot_outlast_the_deadline(raw_site):
    def talk(connection, stop):
        connection.recv(65_536)
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 1000:
            connection.sendall(bytes([byte]))
            if stop.wait(0.05):
                return

    assert _ask_raw(raw_site(talk)).fault is Fault.TIMEOUT


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Encoding": "gzip"},
        {"Content-Encoding": "br"},
        {"Content-Encoding": "identity, gzip"},
        {"Content-Encoding": "gzip, gzip, gzip"},
    ],
)
def test_a_compressed_answer_is_never_unpacked(site, headers):
    """A megabyte of zeros in a kilobyte, or worse."""
    site.answer = lambda _: Answer(headers=headers, body=b"\x1f\x8b" + b"\x00" * 1000)
    policy = parse_policy([f"127.0.0.1:{site.port}"])

    found = refusal(f"{site.url}/", resolver=lambda *_: [], policy=policy)

    assert found.fault is Fault.PROTOCOL


def test_an_answer_that_says_it_is_huge_is_not_read_to_its_end(raw_site):
    def talk(connection, stop):
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
        while not stop.is_set():
            connection.sendall(b"x" * 65_536)

    assert _ask_raw(raw_site(talk), seconds=10.0).fault is Fault.TOO_LARGE


@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "[::ffff:127.0.0.1]"])
def test_a_message_for_slack_goes_through_the_same_client(site, attempt, settings, host):
    settings.SLACK_WEBHOOKS = {"ops": f"http://{host}:{site.port}/T0/B0/key"}
    call = ActionCall(arguments={"webhook": "ops", "text": "hello"}, attempt=attempt)

    with pytest.raises(ActionError) as caught:
        slack_post.post_message(call)

    assert caught.value.kind == "permanent"
    assert "HTTP_PRIVATE_ALLOWED" in caught.value.message
    assert "T0/B0/key" not in caught.value.message
    assert site.received == []


def test_a_url_is_bounded(site):
    found = refusal(f"{site.url}/{'x' * limits.HTTP_URL_CHARS_MAX}", resolver=lambda *_: [])

    assert found.fault is Fault.INVALID
