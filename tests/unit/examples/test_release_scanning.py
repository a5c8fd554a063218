"""What the scan of the release example finds, and what it leaves alone."""

import pytest

from examples.release.functions import PACKAGE
from examples.release.scanning import scan_package


def findings(tmp_path, name, text):
    """Scan a folder with one file; return (severity, rule, line) of what is found."""
    (tmp_path / name).write_text(text)
    report = scan_package(tmp_path)
    return [(item["severity"], item["rule"], item["line"]) for item in report["findings"]]


def test_the_example_package_is_clean():
    report = scan_package(PACKAGE)

    assert report["findings"] == []
    assert report["critical"] == 0
    assert report["files"] >= 10


@pytest.mark.parametrize(
    "code",
    [
        "eval(x)",
        "exec(x)",
        "import builtins\nbuiltins.eval(x)",
        "import os\nos.system('ls')",
        "from os import system as run\nrun('ls')",
        "import subprocess\nsubprocess.run('ls', shell=True)",
        "import subprocess as sp\nsp.Popen('ls', shell=flag)",
        "from subprocess import check_output\ncheck_output('ls', shell=1)",
        "import pickle\npickle.loads(x)",
        "from pickle import load\nload(x)",
        "def f():\n    import pickle as p\n    return p.Unpickler(x).load()",
    ],
)
def test_calls_that_run_what_they_are_given_are_critical(tmp_path, code):
    found = findings(tmp_path, "module.py", code)

    assert [item[:2] for item in found] == [("critical", "dangerous-call")]


@pytest.mark.parametrize(
    "code",
    [
        "# eval(x)",
        "'pickle.loads(x)'",
        "model.eval()",
        "import subprocess\nsubprocess.run(['ls'], shell=False)",
        "import subprocess\nsubprocess.run(['ls'])",
        "import json\njson.loads(x)",
        "from mine import loads\nloads(x)",
        "from .pickle import loads\nloads(x)",
    ],
)
def test_calls_that_look_alike_are_left_alone(tmp_path, code):
    assert findings(tmp_path, "module.py", code) == []


@pytest.mark.parametrize(
    "line",
    [
        "key = 'AKIAIOSFODNN7EXAMPLE'",
        "-----BEGIN RSA PRIVATE KEY-----",
        "token = 'ghp_" + "a1B2" * 9 + "'",
        'db_password = "correct-horse"',
        "API_KEY: 'abcdefgh1234'",
    ],
)
def test_secrets_are_critical_and_not_repeated(tmp_path, line):
    (tmp_path / "settings.cfg").write_text(f"\n{line}\n")

    report = scan_package(tmp_path)

    (found,) = report["findings"]
    assert (found["severity"], found["rule"], found["line"]) == ("critical", "secret", 2)
    assert line not in str(report)


@pytest.mark.parametrize("line", ["password = ''", "password = read()", "secret = 'short'"])
def test_texts_that_hold_no_secret_are_left_alone(tmp_path, line):
    assert findings(tmp_path, "settings.cfg", line) == []


@pytest.mark.parametrize(
    "line",
    ["requests", "requests>=2", "requests==2.*", "-r other.txt", "a @ https://x/a.whl", "??"],
)
def test_a_requirement_that_names_no_single_version_is_a_finding(tmp_path, line):
    assert findings(tmp_path, "requirements.txt", line) == [("high", "unpinned", 1)]


def test_pins_with_an_advisory_are_found_and_fixed_ones_are_not(tmp_path):
    text = "# pins\nrequests==2.30.0\nrequests==2.31.0\nPyYAML==5.3.1  # old\nflit_core==4.2.0\n"

    assert findings(tmp_path, "requirements-dev.txt", text) == [
        ("critical", "advisory", 4),
        ("medium", "advisory", 2),
    ]


def test_a_file_that_is_no_python_or_no_text_is_a_finding(tmp_path):
    (tmp_path / "logo.png").write_bytes(b"\x89PNG\xff")

    assert findings(tmp_path, "module.py", "def (") == [
        ("high", "syntax", 1),
        ("low", "unreadable", 1),
    ]


def test_the_report_is_counted_and_its_digest_covers_it(tmp_path):
    (tmp_path / "a.py").write_text("eval(x)\nexec(y)\n")
    before = scan_package(tmp_path)
    (tmp_path / "a.py").write_text("eval(x)\n\nexec(y)\n")
    after = scan_package(tmp_path)

    assert (before["critical"], after["critical"]) == (2, 2)
    assert before["report_sha256"] != after["report_sha256"]
    assert scan_package(tmp_path)["report_sha256"] == after["report_sha256"]


def test_folders_that_are_made_by_tools_are_not_read(tmp_path):
    for name in (".git", "__pycache__", "dist"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").write_text("eval(x)")

    assert scan_package(tmp_path)["files"] == 0
