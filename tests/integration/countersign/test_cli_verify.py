"""The verifier as people start it: alone, copied elsewhere, and as a command."""

import ast
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from countersign.cli.main import countersign
from tests.architecture.sources import ROOT
from tests.fakes.bundles import consistency_path, write_bundle, write_receipt
from tests.fakes.ledgers import LOG, OTHER_LOG, RUN, a_ledger

FILE = ROOT / "countersign/verify.py"


@pytest.fixture
def folder(tmp_path):
    """Write what an auditor has: a bundle, a receipt, two checkpoints, a path, keys, a copy."""
    ledger = a_ledger()
    bundle = write_bundle(ledger.contents())
    receipt = write_receipt(leaves=ledger.leaves, entry=ledger.entries[1], note=ledger.note())
    path = [item.hex() for item in consistency_path(ledger.leaves, 3)]
    (tmp_path / "bundle.zip").write_bytes(bundle)
    (tmp_path / "bad.zip").write_bytes(bundle[:500] + b"x" + bundle[501:])
    (tmp_path / "open.zip").write_bytes(
        write_bundle(ledger.run_contents(entries=ledger.of_stream(RUN)[:2]))
    )
    (tmp_path / "receipt.json").write_bytes(receipt)
    (tmp_path / "new").write_text(ledger.note())
    (tmp_path / "old").write_text(ledger.note(3))
    (tmp_path / "path").write_text("".join(f"{line}\n" for line in path))
    (tmp_path / "path.json").write_text(json.dumps({"first": 3, "second": 7, "path": path}))
    (tmp_path / "keys").write_text(f"# of the log\n\n{OTHER_LOG.vkey}\n{LOG.vkey}\n")
    (tmp_path / "countersign_verify.py").write_bytes(FILE.read_bytes())
    return tmp_path


def alone(folder, *arguments):
    """Return what the copied file does, started where nothing of this project can be imported."""
    command = [sys.executable, "-I", "-W", "error", "countersign_verify.py", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def as_command(folder, *arguments):
    """Return what the command of the command line does."""
    given = [str(folder / item) if (folder / item).exists() else item for item in arguments]
    return CliRunner().invoke(countersign, ["verify", *given])


def test_it_imports_nothing_but_the_standard_library_and_cryptography():
    tree = ast.parse(FILE.read_text(encoding="utf-8"), feature_version=(3, 9))
    names = {
        (str(node.module) if isinstance(node, ast.ImportFrom) else alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }

    assert names - set(sys.stdlib_module_names) == {"cryptography"}


CASES = [
    (("bundle.zip", "--key", LOG.vkey), 0, "It holds: this bundle is what was signed."),
    (("bundle.zip", "--key-file", "keys"), 0, "7 entries of 3 streams"),
    (("bundle.zip", "--key", LOG.vkey, "--older", "old"), 0, "that you kept"),
    (("receipt.json", "--key", LOG.vkey), 0, "It holds: this receipt"),
    (("new", "--key", LOG.vkey), 0, "It holds: this checkpoint"),
    (("new", "--key", LOG.vkey, "--older", "old", "--consistency", "path"), 0, "that you kept"),
    (("new", "--key", LOG.vkey, "--older", "old", "--consistency", "path.json"), 0, "you kept"),
    (("open.zip", "--key", LOG.vkey, "--open"), 0, "How the run went on"),
    (("open.zip", "--key", LOG.vkey), 1, "run.not_closed"),
    (("bad.zip", "--key", LOG.vkey), 1, "member.digest"),
    (("bundle.zip", "--key", OTHER_LOG.vkey), 1, "note.unknown_key"),
    (("bundle.zip", "--key", LOG.vkey, "--origin", "elsewhere"), 1, "note.other_log"),
    (("old", "--key", LOG.vkey, "--older", "new"), 1, "older.larger"),
    (("new", "--key", LOG.vkey, "--older", "old"), 2, "older.no_path"),
    (("new", "--key", LOG.vkey, "--older", "old", "--consistency", "bundle.zip"), 1, "proof.form"),
    (("bundle.zip",), 2, "key.none"),
    (("bundle.zip", "--key", "nonsense"), 2, "key.form"),
    (("nowhere.zip", "--key", LOG.vkey), 2, "file.unreadable"),
    (("bundle.zip", "--key-file", "nowhere"), 2, "file.unreadable"),
]


@pytest.mark.parametrize(("arguments", "code", "said"), CASES, ids=range(len(CASES)))
def test_alone_and_as_a_command_it_says_the_same_and_ends_the_same(folder, arguments, code, said):
    copied, command = alone(folder, *arguments), as_command(folder, *arguments)

    assert (copied.returncode, command.exit_code) == (code, code), copied.stderr + command.output
    assert said in copied.stdout + copied.stderr
    assert said in command.output
    assert "Traceback" not in copied.stderr


def test_json_says_what_holds_and_what_does_not(folder):
    good = alone(folder, "bundle.zip", "--key", LOG.vkey, "--json")
    bad = alone(folder, "bad.zip", "--key", LOG.vkey, "--json")

    held = json.loads(good.stdout)
    assert (held["holds"], held["size"], held["kind"], held["complete"]) == (True, 7, "whole", True)
    assert held["checked"]["entries"] == 7
    assert json.loads(as_command(folder, "bundle.zip", "--key", LOG.vkey, "--json").output) == held
    found = json.loads(bad.stdout)
    assert (found["holds"], found["discrepancy"]["code"]) == (False, "member.digest")
    assert found["discrepancy"]["member"] == "entries/000000.jsonl"
    assert json.loads(as_command(folder, "bad.zip", "--key", LOG.vkey, "--json").output) == found


def test_a_wrong_option_ends_with_2(folder):
    assert alone(folder, "bundle.zip", "--nonsense").returncode == 2
