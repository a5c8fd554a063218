"""Tables of what runs share and wait for: events, mutexes, rates, circuits, results, tasks."""

import core.kernel.ids
import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('engine', '0003_run_fault_count'),
        ('identity', '0002_seed'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Cache',
            fields=[
                ('run', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='engine.run')),
                ('project', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='identity.project')),
                ('pk', models.CompositePrimaryKey('project_id', 'key_digest', blank=True, editable=False, primary_key=True, serialize=False)),
                ('key_digest', models.BinaryField()),
                ('result', models.BinaryField()),
                ('step', models.CharField(max_length=1000)),
                ('kept_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Circuit',
            fields=[
                ('project', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='identity.project')),
                ('pk', models.CompositePrimaryKey('project_id', 'name', blank=True, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=200)),
                ('state', models.JSONField()),
                ('idle_at', models.DateTimeField()),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Inbox',
            fields=[
                ('project', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='identity.project')),
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('type', models.CharField(max_length=200)),
                ('data', models.JSONField()),
                ('source', models.JSONField()),
                ('received_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('event', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='engine.inbox')),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='engine.run')),
                ('pk', models.CompositePrimaryKey('event_id', 'run_id', 'key', blank=True, editable=False, primary_key=True, serialize=False)),
                ('key', models.CharField(max_length=1000)),
                ('due_at', models.DateTimeField()),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Rate',
            fields=[
                ('project', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='identity.project')),
                ('pk', models.CompositePrimaryKey('project_id', 'name', blank=True, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=200)),
                ('instants', django.contrib.postgres.fields.ArrayField(base_field=models.DateTimeField(), size=None)),
                ('idle_at', models.DateTimeField()),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Slot',
            fields=[
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='engine.run')),
                ('project', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='identity.project')),
                ('pk', models.CompositePrimaryKey('project_id', 'name', 'run_id', 'key', blank=True, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=200)),
                ('key', models.CharField(max_length=1000)),
                ('priority', models.SmallIntegerField(default=0)),
                ('since', models.DateTimeField()),
                ('granted_at', models.DateTimeField(null=True)),
                ('taken_at', models.DateTimeField(null=True)),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Task',
            fields=[
                ('run', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='engine.run')),
                ('id', models.UUIDField(default=core.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('key', models.CharField(max_length=1000)),
                ('attempt', models.IntegerField()),
                ('queue', models.CharField(max_length=64)),
                ('action', models.CharField(max_length=200)),
                ('arguments', models.BinaryField()),
                ('timeout_seconds', models.FloatField()),
                ('heartbeat_seconds', models.FloatField(null=True)),
                ('status', models.CharField(choices=[('open', 'Open'), ('claimed', 'Claimed'), ('done', 'Done'), ('lost', 'Lost')], db_default='open', default='open', max_length=7)),
                ('worker', models.UUIDField(null=True)),
                ('ended', models.BinaryField(null=True)),
                ('due_at', models.DateTimeField()),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Wait',
            fields=[
                ('run', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='engine.run')),
                ('project', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='identity.project')),
                ('pk', models.CompositePrimaryKey('run_id', 'key', blank=True, editable=False, primary_key=True, serialize=False)),
                ('key', models.CharField(max_length=1000)),
                ('type', models.CharField(max_length=200)),
                ('correlate', models.JSONField()),
                ('shape', models.BinaryField()),
                ('match', models.BinaryField(null=True)),
                ('created_at', models.DateTimeField()),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.AddField(
            model_name='run',
            name='events_since',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='run',
            name='parent_key',
            field=models.CharField(blank=True, db_default='', default='', max_length=1000),
        ),
        migrations.AddField(
            model_name='run',
            name='parent_reported',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name='run',
            name='predecessor',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='engine.run'),
        ),
        migrations.AddField(
            model_name='worker',
            name='hung',
            field=models.JSONField(db_default=[], default=list),
        ),
        migrations.AddField(
            model_name='worker',
            name='queues',
            field=models.JSONField(db_default=[], default=list),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('parent__isnull', False), ('parent_reported', False), ('status', 'CLOSED')), fields=['closed_at'], name='engine_run_unreported'),
        ),
        migrations.AddIndex(
            model_name='cache',
            index=models.Index(fields=['expires_at'], name='engine_cache_expiry'),
        ),
        migrations.AddIndex(
            model_name='circuit',
            index=models.Index(fields=['idle_at'], name='engine_circuit_idle'),
        ),
        migrations.AddIndex(
            model_name='inbox',
            index=models.Index(fields=['project', 'type', 'received_at'], name='engine_inbox_type'),
        ),
        migrations.AddIndex(
            model_name='inbox',
            index=django.contrib.postgres.indexes.GinIndex(fields=['data'], name='engine_inbox_data', opclasses=['jsonb_path_ops']),
        ),
        migrations.AddIndex(
            model_name='inbox',
            index=models.Index(fields=['expires_at'], name='engine_inbox_expiry'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(fields=['due_at'], name='engine_delivery_due'),
        ),
        migrations.AddIndex(
            model_name='rate',
            index=models.Index(fields=['idle_at'], name='engine_rate_idle'),
        ),
        migrations.AddIndex(
            model_name='slot',
            index=models.Index(condition=models.Q(('granted_at__isnull', False), ('taken_at__isnull', True)), fields=['granted_at'], name='engine_slot_untaken'),
        ),
        migrations.AddConstraint(
            model_name='slot',
            constraint=models.UniqueConstraint(condition=models.Q(('granted_at__isnull', False)), fields=('project', 'name'), name='engine_slot_granted_uniq'),
        ),
        migrations.AddConstraint(
            model_name='slot',
            constraint=models.CheckConstraint(condition=models.Q(('taken_at__isnull', True), ('granted_at__isnull', False), _connector='OR'), name='engine_slot_taken_check'),
        ),
        migrations.AddIndex(
            model_name='task',
            index=models.Index(condition=models.Q(('status', 'open')), fields=['queue', 'id'], name='engine_task_open'),
        ),
        migrations.AddIndex(
            model_name='task',
            index=models.Index(condition=models.Q(('status', 'open')), fields=['due_at'], name='engine_task_due'),
        ),
        migrations.AddIndex(
            model_name='task',
            index=models.Index(condition=models.Q(('status', 'claimed')), fields=['worker'], name='engine_task_claimed'),
        ),
        migrations.AddConstraint(
            model_name='task',
            constraint=models.UniqueConstraint(fields=('run', 'key', 'attempt'), name='engine_task_attempt_uniq'),
        ),
        migrations.AddConstraint(
            model_name='task',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['open', 'claimed', 'done', 'lost'])), name='engine_task_status_check'),
        ),
        migrations.AddConstraint(
            model_name='task',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'claimed'), _negated=True), ('worker__isnull', False), _connector='OR'), name='engine_task_claimed_worker_check'),
        ),
        migrations.AddIndex(
            model_name='wait',
            index=models.Index(fields=['project', 'type', 'shape', 'match'], name='engine_wait_match'),
        ),
    ]
