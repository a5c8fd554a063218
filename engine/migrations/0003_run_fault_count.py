"""How many drivers in a row a bug has stopped."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("engine", "0002_guards")]

    operations = [
        migrations.AddField(
            model_name="run",
            name="fault_count",
            field=models.PositiveSmallIntegerField(default=0, db_default=0),
        )
    ]
