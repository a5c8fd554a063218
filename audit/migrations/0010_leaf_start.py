"""An index that finds an entry by its hash, or by the beginning of it."""

from django.db import migrations, models
from django.db.models.functions import Substr


class Migration(migrations.Migration):
    dependencies = [("audit", "0009_exports")]

    operations = [
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(Substr("leaf", 1, 8), name="audit_entry_leaf_start_idx"),
        ),
    ]
