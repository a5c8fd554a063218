"""The command that writes the reference; what it writes is compared by an architecture test."""

from django.core.management import call_command

from core.toolkit.api.reference import list_platform_errors


def test_the_reference_is_written_where_it_is_told(tmp_path, capsys):
    folder = tmp_path / "deep" / "er"

    call_command("write_reference", folder=folder)

    errors = (folder / "errors.md").read_text(encoding="utf-8")
    assert all(f"| `{error.code}` |" in errors for error in list_platform_errors())
    document = (folder / "openapi.yaml").read_text(encoding="utf-8")
    assert document.startswith("openapi: 3.1.")
    assert (folder / "cli.md").read_text(encoding="utf-8").startswith("# ")
    assert capsys.readouterr().out.count("wrote ") == 3
