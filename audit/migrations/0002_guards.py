"""The database's own guards of the ledger: sizes, streams that only grow, a queue without thieves."""

import django.db.models.deletion
from django.db import migrations, models

from audit.immutability import MakeAppendOnly

# One constraint a table: the server reads the text of each again for every statement.
SIZES = """
ALTER TABLE audit_entry DROP CONSTRAINT audit_entry_seq_check;
ALTER TABLE audit_entry ADD CONSTRAINT audit_entry_seq_leaf_body_check
    CHECK (seq >= 1 AND octet_length(leaf) = 32 AND octet_length(body) <= 65535);
ALTER TABLE audit_payload ADD CONSTRAINT audit_payload_salt_value_check
    CHECK ((salt IS NULL) = (value IS NULL) AND octet_length(salt) = 32);
ALTER TABLE audit_stream ADD CONSTRAINT audit_stream_seq_head_check
    CHECK (seq >= 0 AND octet_length(head) = 32);
ALTER TABLE audit_tree_head ADD CONSTRAINT audit_tree_head_root_check
    CHECK (octet_length(root) = 32);
"""
SIZES_GONE = """
ALTER TABLE audit_entry DROP CONSTRAINT audit_entry_seq_leaf_body_check;
ALTER TABLE audit_entry ADD CONSTRAINT audit_entry_seq_check CHECK (seq >= 1);
ALTER TABLE audit_payload DROP CONSTRAINT audit_payload_salt_value_check;
ALTER TABLE audit_stream DROP CONSTRAINT audit_stream_seq_head_check;
ALTER TABLE audit_tree_head DROP CONSTRAINT audit_tree_head_root_check;
"""

# An entry that leaves the queue without a leaf would never be sealed, and nobody would notice. One
# check a statement, so that the sealer may take thousands at once.
QUEUE = """
CREATE FUNCTION audit_refuse_unsealed() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF EXISTS (SELECT 1 FROM gone LEFT JOIN audit_leaf ON audit_leaf.entry_id = gone.entry_id
               WHERE audit_leaf.entry_id IS NULL) THEN
        RAISE EXCEPTION 'an entry leaves audit_pending only once it has a leaf'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END
$body$;
CREATE TRIGGER audit_pending_sealed AFTER DELETE ON audit_pending
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_unsealed();
ALTER TABLE audit_pending ENABLE ALWAYS TRIGGER audit_pending_sealed;
"""
QUEUE_GONE = """
DROP TRIGGER audit_pending_sealed ON audit_pending;
DROP FUNCTION audit_refuse_unsealed();
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [
        # The primary key begins with the column; every append would write a second index for nothing.
        migrations.AlterField(
            model_name="payload",
            name="entry",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="payloads",
                to="audit.entry",
            ),
        ),
        migrations.RunSQL(
            SIZES,
            SIZES_GONE,
            state_operations=[
                migrations.RemoveConstraint(model_name="entry", name="audit_entry_seq_check")
            ],
        ),
        migrations.RunSQL(QUEUE, QUEUE_GONE),
        # A guard row moves forward, with its name; its stream never ends before it did.
        MakeAppendOnly(
            "audit_stream",
            update_allowed="NEW.id = OLD.id AND NEW.name = OLD.name AND NEW.seq > OLD.seq",
        ),
    ]
