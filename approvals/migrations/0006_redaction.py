"""What a request showed may be erased, and what went wrong when it was asked whom to keep out."""

from django.db import migrations, models

from audit.immutability import MakeAppendOnly, only_changes

# The text of an error may quote values; who was kept out, and why, stays.
_OLD_GUARD = MakeAppendOnly("approvals_exclusion")
_NEW_GUARD = MakeAppendOnly(
    "approvals_exclusion", update_allowed=f"{only_changes('error')} AND NEW.error = ''"
)


class Migration(migrations.Migration):

    dependencies = [
        ("approvals", "0005_questions"),
        ("audit", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="request",
            name="redacted_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.RunSQL(sql=_OLD_GUARD.reverse_sql, reverse_sql=_OLD_GUARD.sql),
        _NEW_GUARD,
    ]
