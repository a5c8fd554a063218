"""The Celery application: `celery -A core.celery worker -Q engine`."""

import os

from celery import Celery
from celery.signals import setup_logging, task_prerun
from django.db import close_old_connections

from core import listening

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "core.settings.local")

app = Celery("countersign")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
listening.follow_celery(app)


@setup_logging.connect
def _keep_our_logging(**kwargs: object) -> None:
    """Leave logging to the settings; with no receiver Celery would install its own."""


@task_prerun.connect
def _check_connections(**_: object) -> None:
    """Let a task begin on the connection of the one before, if that still answers.

    Celery would close it after every task (`CELERY_DB_REUSE_MAX`): a new one costs 8 ms, and every
    statement is planned anew.
    """
    close_old_connections()
