"""Votes, and who was kept from voting, never change: the database itself sees to it."""

from django.db import migrations

from audit.immutability import MakeAppendOnly


class Migration(migrations.Migration):
    dependencies = [("approvals", "0001_initial"), ("audit", "0001_initial")]

    operations = [MakeAppendOnly("approvals_vote"), MakeAppendOnly("approvals_exclusion")]
