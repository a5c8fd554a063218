"""How far anchors and sinks are, and what anchors answered."""

from django.db import migrations, models

from audit.immutability import MakeAppendOnly

# One constraint a table: the server reads the text of each again for every statement.
SHAPES = """
ALTER TABLE audit_outward_cursor ADD CONSTRAINT audit_outward_cursor_check CHECK (
    role IN ('anchor', 'sink') AND state IN ('going', 'stopped', 'disputed')
    AND position >= 0 AND (mark IS NULL OR octet_length(mark) = 32)
    AND (aim IS NULL OR aim > position) AND attempt_count >= 0);
ALTER TABLE audit_anchor_receipt ADD CONSTRAINT audit_anchor_receipt_size_root_check
    CHECK (tree_size >= 0 AND octet_length(root) = 32);
"""
SHAPES_GONE = """
ALTER TABLE audit_outward_cursor DROP CONSTRAINT audit_outward_cursor_check;
ALTER TABLE audit_anchor_receipt DROP CONSTRAINT audit_anchor_receipt_size_root_check;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0004_nodes_and_keys")]

    operations = [
        migrations.CreateModel(
            name="OutwardCursor",
            fields=[
                ("pk", models.CompositePrimaryKey("role", "name", "origin", blank=True, editable=False, primary_key=True, serialize=False)),
                ("role", models.TextField()),
                ("name", models.TextField()),
                ("origin", models.TextField()),
                ("position", models.BigIntegerField(default=0)),
                ("mark", models.BinaryField(null=True)),
                ("aim", models.BigIntegerField(null=True)),
                ("generation", models.IntegerField(default=0)),
                ("state", models.TextField()),
                ("attempt_count", models.IntegerField(default=0)),
                ("next_at", models.DateTimeField()),
                ("moved_at", models.DateTimeField(null=True)),
                ("last_error", models.TextField(default="")),
                ("error_at", models.DateTimeField(null=True)),
                ("told_size", models.BigIntegerField(null=True)),
                ("told_root", models.BinaryField(null=True)),
            ],
            options={"default_permissions": (), "db_table": "audit_outward_cursor"},
        ),
        migrations.CreateModel(
            name="AnchorReceipt",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("anchor", models.TextField()),
                ("kind", models.TextField()),
                ("origin", models.TextField()),
                ("tree_size", models.BigIntegerField()),
                ("root", models.BinaryField()),
                ("answer", models.TextField()),
                ("at", models.DateTimeField()),
            ],
            options={
                "default_permissions": (),
                "db_table": "audit_anchor_receipt",
                "indexes": [
                    models.Index(fields=["tree_size"], name="audit_anchor_receipt_size_idx")
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("anchor", "origin", "tree_size"),
                        name="audit_anchor_receipt_anchor_origin_size_uniq",
                    )
                ],
            },
        ),
        migrations.RunSQL(SHAPES, SHAPES_GONE),
        MakeAppendOnly("audit_anchor_receipt"),
        # What was sent stays sent; going back is a new generation, which the ledger has on record.
        MakeAppendOnly(
            "audit_outward_cursor",
            update_allowed=(
                "NEW.role = OLD.role AND NEW.name = OLD.name AND NEW.origin = OLD.origin AND ("
                "(NEW.generation = OLD.generation AND NEW.position >= OLD.position)"
                " OR NEW.generation = OLD.generation + 1)"
            ),
        ),
    ]
