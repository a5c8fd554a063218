"""How the demo tells its story."""

from examples.demo.telling import Teller


def test_chapters_are_numbered_without_a_gap(capsys):
    teller = Teller()

    teller.chapter("A release")
    teller.say("mara", "starts it")
    teller.chapter("The ledger")

    told = capsys.readouterr().out.splitlines()
    assert [line for line in told if line[:1].isdigit()] == ["1. A release", "2. The ledger"]
