"""The list of use cases: what is promised of each is there."""

import pytest

from examples.cases import CASES, list_stories
from examples.catalog import PAGE, write
from examples.demo.cast import CAST, MACHINES
from examples.stories import ROOT

PICTURES = ROOT.parent / "docs" / "pictures"


def test_the_page_says_what_the_code_says():
    assert PAGE.read_text(encoding="utf-8") == write(), "run python -m examples.catalog"


@pytest.mark.parametrize("case", CASES, ids=[case.slug for case in CASES])
def test_every_use_case_has_a_readme_its_files_and_the_story_of_its_picture(case):
    readme = (case.folder / "README.md").read_text(encoding="utf-8")

    assert all(f"({name})" in readme for name in case.files)
    assert case.pictured in {story.slug for story in case.stories}
    assert f"(../../docs/pictures/use-case-{case.slug}.png)" in readme
    assert 10_000 < (PICTURES / f"use-case-{case.slug}.png").stat().st_size <= 150_000
    assert (ROOT / case.slug / "case.py").is_file()


def test_the_history_has_a_few_dozen_runs_of_every_kind():
    ends = [story.ends for _, story in list_stories()]

    assert len(ends) >= 24
    assert {"succeeded", "rejected", "failed", "cancelled", "waiting"} <= set(ends)
    assert any(story.undone for _, story in list_stories())


def test_stories_have_names_of_their_own_and_are_played_by_the_cast():
    known = {member.username for member in (*CAST, *MACHINES)}
    for case in CASES:
        slugs = [story.slug for story in case.stories]
        assert len(set(slugs)) == len(slugs)
        for story in case.stories:
            actors = {story.by, *(act.who for act in story.acts)}
            assert actors <= known
            assert bool(story.waits_in) == (story.ends == "waiting")
