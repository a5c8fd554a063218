"""Makes the global scope and the builtin roles."""

from django.db import migrations

from core.identity.seed import seed


LATER = frozenset({"execute_task", "redact_audit"})  # what a migration after this one brings


def forwards(apps, schema_editor):
    seed(apps, later=LATER)


class Migration(migrations.Migration):
    dependencies = [("identity", "0001_initial")]

    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
