"""What a full system is made of."""

import pytest

from core.settings.env import ProcessRole, load_launch
from core.supervisor.plan import list_children, list_preparations


@pytest.fixture
def children():
    launch = load_launch(variables={"PORT": "8123", "WORKER_COUNT": "3", "VAR": "/data with space"})
    return {child.name: child for child in list_children(launch)}


def test_every_part_of_the_system_is_there(children):
    parts = ("target", "web", "worker", "mailer", "sweep", "sealer", "keeper", "history")
    assert set(children) == set(parts)


def test_the_demos_history_ends_by_itself_and_can_be_left_out(children):
    launch = load_launch(variables={"DEMO_HISTORY": "no"})

    assert [name for name, child in children.items() if child.runs_once] == ["history"]
    assert "history" not in {child.name for child in list_children(launch)}


def test_the_web_listens_on_this_machine_only_and_believes_no_proxy(children):
    command = children["web"].command

    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--port") + 1] == "8123"
    assert "--no-proxy-headers" in command


def test_a_folder_with_a_space_stays_one_argument(children):
    assert "/data with space" in children["target"].command


def test_runs_and_mail_have_workers_of_their_own(children):
    def queue_of(child):
        return child.command[child.command.index("--queues") + 1]

    assert (queue_of(children["worker"]), queue_of(children["mailer"])) == ("engine", "mail")
    assert children["worker"].command[children["worker"].command.index("--concurrency") + 1] == "3"


def test_workers_take_the_queues_whose_steps_they_execute():
    launch = load_launch(variables={"WORKER_QUEUES": "gpu, eu-west"})
    (worker,) = [child for child in list_children(launch) if child.name == "worker"]

    queues = worker.command[worker.command.index("--queues") + 1]

    assert queues == "engine,engine.gpu,engine.eu-west"


def test_what_lets_work_in_stops_before_what_does_it_and_the_target_last(children):
    stages = {name: child.stop_stage for name, child in children.items()}

    assert stages["web"] < stages["worker"] < stages["target"]
    assert stages["sweep"] < stages["worker"]
    assert stages["worker"] < stages["sealer"]


def test_roles_decide_how_the_database_is_used(children):
    assert children["web"].role is ProcessRole.WEB
    assert children["worker"].role is ProcessRole.WORKER
    assert children["sweep"].role is ProcessRole.SWEEP
    assert children["sealer"].role is ProcessRole.SEALER
    assert children["keeper"].role is ProcessRole.KEEPER


def test_the_database_is_migrated_before_anything_writes_to_it():
    assert [item.name for item in list_preparations()] == ["migrate", "keys", "static", "demo"]
