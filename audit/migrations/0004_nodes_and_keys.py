"""What a sealer keeps beside leaves and heads: complete subtrees, and the keys that ever signed."""

from django.db import migrations, models

from audit.immutability import MakeAppendOnly

# One constraint a table: the server reads the text of each again for every statement.
SIZES = """
ALTER TABLE audit_node ADD CONSTRAINT audit_node_level_index_hash_check
    CHECK (level >= 1 AND index >= 0 AND octet_length(hash) = 32);
ALTER TABLE audit_key ADD CONSTRAINT audit_key_id_check CHECK (key_id ~ '^[0-9a-f]{8}$');
"""
SIZES_GONE = """
ALTER TABLE audit_node DROP CONSTRAINT audit_node_level_index_hash_check;
ALTER TABLE audit_key DROP CONSTRAINT audit_key_id_check;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_entry_filters")]

    operations = [
        migrations.CreateModel(
            name="Node",
            fields=[
                ("pk", models.CompositePrimaryKey("level", "index", blank=True, editable=False, primary_key=True, serialize=False)),
                ("level", models.SmallIntegerField()),
                ("index", models.BigIntegerField()),
                ("hash", models.BinaryField()),
            ],
            options={"default_permissions": ()},
        ),
        migrations.CreateModel(
            name="Key",
            fields=[
                ("key_id", models.TextField(primary_key=True, serialize=False)),
                ("name", models.TextField()),
                ("vkey", models.TextField(unique=True)),
                ("added_at", models.DateTimeField()),
            ],
            options={"default_permissions": ()},
        ),
        migrations.RunSQL(SIZES, SIZES_GONE),
        MakeAppendOnly("audit_node"),
        MakeAppendOnly("audit_key"),
    ]
