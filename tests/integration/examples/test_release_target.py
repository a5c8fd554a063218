"""The target of the release example, over HTTP."""

import hashlib
import http.client
import json
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from examples.release.releases import ARTIFACT_BYTES_MAX, Store
from examples.release.target import Target


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "target"


@pytest.fixture
def target(folder):
    server = Target(port=0, folder=folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        yield client
    server.shutdown()
    thread.join()
    server.server_close()


def artifact(target, version):
    """Store a wheel and return the body that deploys it to production."""
    content = f"wheel {version}".encode()
    sha256 = hashlib.sha256(content).hexdigest()
    filename = f"tidyhours-{version}-py3-none-any.whl"
    assert target.put(f"/artifacts/{sha256}/{filename}", content=content).status_code < 300
    return {"env": "production", "sha256": sha256, "filename": filename, "version": version}


def test_an_artifact_is_kept_under_its_digest_and_only_there(target):
    content = b"wheel"
    sha256 = hashlib.sha256(content).hexdigest()
    path = f"/artifacts/{sha256}/a-1.0.0-py3-none-any.whl"

    assert target.put(path, content=content).status_code == 201
    assert target.put(path, content=content).status_code == 200
    assert target.put(path, content=b"other").status_code == 422


@pytest.mark.parametrize(
    "path",
    [
        "/artifacts/abc/a-1.0.0-py3-none-any.whl",
        f"/artifacts/{'0' * 64}/a.txt",
        f"/artifacts/{'0' * 64}/..%2F..%2Fa-1.0.0-py3-none-any.whl",
    ],
)
def test_an_artifact_under_another_path_is_refused(target, folder, path):
    assert target.put(path, content=b"x").status_code in {404, 422}
    assert list((folder / "artifacts").iterdir()) == []


def test_deploying_says_what_was_there_before(target):
    first = target.post("/deploy", json=artifact(target, "1.0.0")).json()
    second = target.post("/deploy", json=artifact(target, "1.1.0")).json()

    assert first["previous"] is None
    assert first["current"]["version"] == "1.0.0"
    assert second["previous"] == first["current"]
    assert second["current"]["version"] == "1.1.0"


def test_an_index_serves_what_is_deployed_and_nothing_else(target):
    body = artifact(target, "1.0.0")
    assert target.get("/production/simple/tidyhours/").status_code == 404

    target.post("/deploy", json=body)

    assert 'href="tidyhours/"' in target.get("/production/simple/").text
    page = target.get("/production/simple/tidyhours/").text
    assert f"#sha256={body['sha256']}" in page
    path = f"/production/files/{body['sha256']}/{body['filename']}"
    assert target.get(path).content == b"wheel 1.0.0"
    assert target.get(path.replace("production", "staging")).status_code == 404
    target.post("/deploy", json=artifact(target, "1.1.0"))
    assert target.get(path).status_code == 404


def test_a_rollback_puts_back_what_was_served(target):
    first = target.post("/deploy", json=artifact(target, "1.0.0")).json()
    second = target.post("/deploy", json=artifact(target, "1.1.0")).json()
    body = {"env": "production", "from": second["current"], "to": second["previous"]}

    answer = target.post("/rollback", json=body)

    assert answer.status_code == 200
    assert answer.json()["current"]["version"] == "1.0.0"
    state = target.get("/state").json()
    assert state["current"]["production"]["version"] == "1.0.0"
    assert state["current"]["staging"] is None
    assert [(item["act"], item["version"]) for item in state["history"]] == [
        ("deploy", "1.0.0"),
        ("deploy", "1.1.0"),
        ("rollback", "1.0.0"),
    ]
    assert first["current"]["deployment"] == 1


def test_a_first_deployment_is_rolled_back_to_nothing(target):
    deployed = target.post("/deploy", json=artifact(target, "1.0.0")).json()
    body = {"env": "production", "from": deployed["current"], "to": None}

    assert target.post("/rollback", json=body).json()["current"] is None
    assert target.get("/production/simple/tidyhours/").status_code == 404


def test_a_rollback_after_somebody_elses_deployment_changes_nothing(target):
    mine = target.post("/deploy", json=artifact(target, "1.0.0")).json()
    target.post("/deploy", json=artifact(target, "1.1.0"))
    body = {"env": "production", "from": mine["current"], "to": mine["previous"]}

    assert target.post("/rollback", json=body).status_code == 409
    assert target.get("/state").json()["current"]["production"]["version"] == "1.1.0"


def test_one_key_is_applied_once_and_answered_alike(target, folder):
    body, key = artifact(target, "1.0.0"), {"Idempotency-Key": "run:deploy:1"}

    first = target.post("/deploy", json=body, headers=key)
    target.post("/deploy", json=artifact(target, "1.1.0"))
    again = target.post("/deploy", json=body, headers=key)
    other = target.post("/deploy", json={**body, "env": "staging"}, headers=key)

    assert again.json() == first.json()
    assert other.status_code == 422
    assert len(target.get("/state").json()["history"]) == 2
    assert len(Store(folder).describe()["history"]) == 2, "it is on disk"


def test_one_key_from_many_at_once_is_applied_once(target):
    body, key = artifact(target, "1.0.0"), {"Idempotency-Key": "same"}

    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: target.post("/deploy", json=body, headers=key).json(), range(24))
        )

    assert all(answer == answers[0] for answer in answers)
    assert len(target.get("/state").json()["history"]) == 1


def test_what_is_not_stored_or_does_not_fit_is_not_deployed(target):
    body = artifact(target, "1.0.0")

    assert target.post("/deploy", json={**body, "sha256": "0" * 64}).status_code == 409
    assert target.post("/deploy", json={**body, "version": "2.0.0"}).status_code == 422
    assert target.post("/deploy", json={**body, "env": "moon"}).status_code == 422
    assert target.post("/deploy", json={**body, "filename": "../state.json"}).status_code == 422
    assert target.post("/deploy", json=[body]).status_code == 400
    assert target.post("/deploy", content=b"{").status_code == 400
    assert target.post("/rollback", json={"env": "production", "to": 7}).status_code == 404
    assert target.get("/state").json()["history"] == []


@pytest.mark.parametrize("path", ["/", "/deploy", "/nowhere", "/production", "/..%2F..%2Fetc"])
def test_other_addresses_lead_nowhere(target, path):
    assert target.get(path).status_code == 404


def test_a_body_over_the_bound_or_without_length_is_refused(target):
    port = urlsplit(str(target.base_url)).port
    for headers, expected in (
        ({"Content-Length": str(ARTIFACT_BYTES_MAX + 1)}, 413),
        ({"Transfer-Encoding": "chunked"}, 411),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.putrequest("PUT", f"/artifacts/{'0' * 64}/a-1.0.0-py3-none-any.whl")
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()

        assert connection.getresponse().status == expected
        connection.close()


@pytest.mark.processes
def test_as_a_process_it_listens_until_told_to_stop_and_remembers(tmp_path):
    def start():
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "examples.release.target",
                "--port",
                "0",
                "--var",
                str(tmp_path),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        return process, line.split()[-1]

    def stop(process):
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
        assert process.returncode == 0

    process, url = start()
    with httpx.Client(base_url=url, trust_env=False) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        client.post("/deploy", json=artifact(client, "1.0.0")).raise_for_status()
    stop(process)
    process, url = start()
    state = json.loads(httpx.get(f"{url}/state", trust_env=False).text)
    stop(process)

    assert state["current"]["production"]["version"] == "1.0.0"


@pytest.mark.processes
def test_as_a_process_it_says_when_its_port_is_taken(target, tmp_path):
    port = str(urlsplit(str(target.base_url)).port)

    ended = subprocess.run(
        [sys.executable, "-m", "examples.release.target", "--port", port, "--var", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert ended.returncode == 1
    assert f"cannot listen on port {port}" in ended.stderr
