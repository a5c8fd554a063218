"""`lint` and `apply`: what is sent, in which order, and what is not."""

import json

import pytest

from countersign.cli.files import Definition, in_order
from tests.integration.countersign.conftest import problem

BROKEN = {
    "path": "/steps/a",
    "message": "No such action.",
    "code": "flow.unknown_action",
    "severity": "error",
    "line": 4,
    "column": 3,
}


def source(name, *, call=None):
    step = f"call: {call}" if call else "set: {}"
    return f"schema: flow/v1\nkind: dag\nname: {name}\nsteps:\n  a: {{{step}}}\n"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "flows"
    (folder / "deep").mkdir(parents=True)
    (folder / "release.yaml").write_text(source("release", call="'build@^1'"))
    (folder / "deep" / "build.yml").write_text(source("build"))
    (folder / "release.test.yaml").write_text("definition: release.yaml\n")
    (folder / "values.yaml").write_text("image: x\n")
    (folder / ".hidden.yaml").write_text(source("hidden"))
    return folder


@pytest.fixture
def project(server):
    """A project with no workflow yet, where everything lints."""
    server.on("POST lint/", {"valid": True, "problems": []})
    server.on("GET projects/shop/", {"slug": "shop"})
    server.on("GET workflows/", {"items": [{"slug": "old", "project": "shop"}], "next": None})

    def save(received):
        name = json.loads(received.body)["source"].split("name: ")[1].split("\n")[0]
        return {"workflow": name, "rev": 3, "status": "draft"}

    server.on("POST workflows/shop/", save)
    server.on("POST workflows/shop/build/versions/3/publish/", {"rev": 3})
    server.on("POST workflows/shop/release/versions/3/publish/", {"rev": 3})
    return server


def test_problems_are_printed_as_compilers_do(type_in, server, folder):
    server.on("POST lint/", {"valid": False, "problems": [BROKEN]})

    result = type_in("lint", folder / "release.yaml")

    assert result.exit_code == 1
    place = f"{folder / 'release.yaml'}:4:3: error: No such action. [flow.unknown_action]"
    assert place in result.stdout


def test_a_warning_fails_only_strictly(type_in, server, folder):
    server.on("POST lint/", {"valid": True, "problems": [BROKEN | {"severity": "warning"}]})

    assert type_in("lint", folder).exit_code == 0
    assert type_in("lint", folder, "--strict").exit_code == 1


def test_in_a_folder_only_definitions_are_looked_at(type_in, project, folder):
    (folder / "typo.yaml").write_text("schema: [")

    type_in("lint", folder)

    sent = [body["source"] for body in project.bodies("POST lint/")]
    assert sent == [source("build"), source("release", call="'build@^1'"), "schema: ["]


def test_what_is_called_is_saved_before_what_calls_it(type_in, project, folder):
    result = type_in("apply", folder, "--publish", "--message", "from git", "--json")

    assert result.exit_code == 0, result.output
    saved = project.bodies("POST workflows/shop/")
    assert [body["source"] for body in saved] == [
        source("build"),
        source("release", call="'build@^1'"),
    ]
    assert {body["message"] for body in saved} == {"from git"}
    assert len(project.received("POST workflows/shop/build/versions/3/publish/")) == 1
    document = json.loads(result.stdout)
    assert document["not_in_folder"] == ["old"]
    assert [(item["workflow"], item["action"], item["rev"]) for item in document["changes"]] == [
        ("build", "new", 3),
        ("release", "new", 3),
    ]


def test_without_publish_nothing_is_published(type_in, project, folder):
    assert type_in("apply", folder).exit_code == 0

    assert project.received("POST workflows/shop/build/versions/3/publish/") == []


def test_a_dry_run_changes_nothing(type_in, project, folder):
    result = type_in("apply", folder, "--dry-run", "--publish")

    assert result.exit_code == 0, result.output
    assert "would be new: shop/build" in result.stdout
    assert {item.method for item in project.site.received} - {"GET"} == {"POST"}
    assert project.received("POST workflows/shop/") == []


def test_what_is_unchanged_is_left_alone(type_in, project, folder):
    text = source("build")
    digest = Definition(path="x", source=text).source_digest
    version = {"rev": 2, "status": "published", "source_digest": digest}
    project.on("GET workflows/shop/build/versions/", {"items": [version], "next": None})

    result = type_in("apply", folder / "deep")

    assert result.exit_code == 0, result.output
    assert "unchanged: shop/build rev 2, published" in result.stdout
    assert project.received("POST workflows/shop/") == []


def test_a_draft_that_is_unchanged_is_published(type_in, project, folder):
    digest = Definition(path="x", source=source("build")).source_digest
    version = {"rev": 3, "status": "draft", "source_digest": digest}
    project.on("GET workflows/shop/build/versions/", {"items": [version], "next": None})

    assert type_in("apply", folder / "deep", "--publish").exit_code == 0

    assert project.received("POST workflows/shop/") == []
    assert len(project.received("POST workflows/shop/build/versions/3/publish/")) == 1


def test_one_bad_file_keeps_all_from_being_saved(type_in, project, folder):
    def lint(received):
        bad = "name: release" in json.loads(received.body)["source"]
        return {"valid": not bad, "problems": [BROKEN] if bad else []}

    project.on("POST lint/", lint)

    result = type_in("apply", folder)

    assert result.exit_code == 1
    assert f"{folder / 'release.yaml'}:4:3" in result.output
    assert project.received("POST workflows/shop/") == []


def test_a_refusal_midway_says_what_had_been_done(type_in, project, folder):
    def save(received):
        if "name: release" in json.loads(received.body)["source"]:
            return problem(403, code="access.forbidden", detail="You may not edit release.")
        return {"workflow": "build", "rev": 3, "status": "draft"}

    project.on("POST workflows/shop/", save)

    result = type_in("apply", folder)

    assert result.exit_code == 4
    assert "Applied before: build; not applied: release" in result.output


def test_a_project_that_is_not_there_is_named(type_in, server, folder):
    server.on("POST lint/", {"valid": True, "problems": []})
    missing = problem(404, code="identity.project_missing", detail="There is no project shop.")
    server.on("GET projects/shop/", missing)

    result = type_in("apply", folder)

    assert result.exit_code == 1
    assert "there is no project 'shop' that you may see [identity.project_missing]" in result.output


def test_two_files_of_one_name_are_refused(type_in, project, folder):
    (folder / "copy.yaml").write_text(source("build"))

    result = type_in("apply", folder)

    assert result.exit_code == 2
    assert "[cli.name_twice]" in result.output
    assert project.site.received == []


def test_workflows_that_call_each_other_are_each_applied_once():
    one = Definition(path="1", source="", name="one", calls=frozenset({"two"}))
    two = Definition(path="2", source="", name="two", calls=frozenset({"one", "elsewhere"}))

    assert in_order([one, two]) == [two, one]


def _comparison(**changes):
    return {
        "workflow": "build",
        "base_rev": 2,
        "digest": "ab" * 32,
        "source_digest": "cd" * 32,
        "same_source": False,
        "same_plan": False,
        "worst": "governance-weakening",
        "changes": [
            {
                "kind": "governance-weakening",
                "step": "approve",
                "field": "stages.board.quorum.count",
                "message": "fewer approvals are enough",
                "before": 2,
                "after": 1,
            }
        ],
    } | changes


def test_what_would_change_is_told_by_class(type_in, server, folder):
    server.on("POST projects/shop/diff/", _comparison())

    result = type_in("diff", folder / "deep")

    assert result.exit_code == 0, result.output
    assert "build: 1 change since rev 2" in result.stdout
    words = " ".join(result.stdout.split())
    assert "governance-weakening approve stages.board.quorum.count fewer approvals" in words


@pytest.mark.parametrize(
    ("worst", "bound", "code"),
    [
        ("governance-weakening", "governance-weakening", 1),
        ("behavioural", "governance-weakening", 0),
        ("behavioural", "behavioural", 1),
        ("cosmetic", "additive", 0),
        (None, "cosmetic", 0),
    ],
)
def test_a_class_of_changes_can_fail_a_job(type_in, server, folder, worst, bound, code):
    server.on("POST projects/shop/diff/", _comparison(worst=worst))

    assert type_in("diff", folder / "deep", "--fail-on", bound).exit_code == code


def test_what_is_published_can_be_compared_with(type_in, server, folder):
    server.on("GET workflows/shop/build/", {"published_rev": 1})
    server.on("POST projects/shop/diff/", _comparison(base_rev=1))

    type_in("diff", folder / "deep", "--published")

    assert server.bodies("POST projects/shop/diff/") == [{"source": source("build"), "rev": 1}]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"base_rev": None}, "build: new"),
        ({"same_plan": True, "same_source": True}, "build: unchanged since rev 2"),
        ({"same_plan": True}, "build: only comments or layout changed since rev 2"),
    ],
)
def test_what_is_new_or_the_same_is_said_so(type_in, server, folder, changes, said):
    server.on("POST projects/shop/diff/", _comparison(changes=[], worst=None, **changes))

    assert said in type_in("diff", folder / "deep").stdout


def test_a_bad_definition_is_named_with_its_place_by_diff(type_in, server, folder):
    server.on("POST projects/shop/diff/", problem(422, detail="It is wrong.", errors=[BROKEN]))

    result = type_in("diff", folder / "deep")

    assert result.exit_code == 1
    assert f"{folder / 'deep' / 'build.yml'}:4:3: error" in result.output
