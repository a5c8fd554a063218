from django.db import migrations

# Whoever closes a run pulls what waits for its end in the same transaction, so none is missed and
# none counts twice. A trigger, because runs are closed in one statement, which is to stay one.
_PULL = """
    CREATE FUNCTION engine_pull_finished() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO engine_firing
            (id, trigger_id, heard, source, due_at, created_at, attempt_count)
        SELECT gen_random_uuid(), t.id, '{}', jsonb_build_object('run', NEW.id),
            clock_timestamp(), clock_timestamp(), 0
        FROM engine_workflow w
        JOIN engine_trigger t ON t.project_id = w.project_id AND t.type = w.slug
        WHERE w.id = NEW.workflow_id AND t.kind = 'run-finished'
          AND t.ended_at IS NULL AND t.paused_at IS NULL;
        RETURN NULL;
    END $$;

    CREATE TRIGGER engine_run_finished AFTER UPDATE OF status ON engine_run FOR EACH ROW
    WHEN (NEW.status = 'CLOSED' AND OLD.status <> 'CLOSED' AND NEW.outcome <> 'continued')
    EXECUTE FUNCTION engine_pull_finished();
"""
_BACK = """
    DROP TRIGGER engine_run_finished ON engine_run;
    DROP FUNCTION engine_pull_finished();
"""


class Migration(migrations.Migration):
    dependencies = [("engine", "0009_webhooks")]

    operations = [migrations.RunSQL(_PULL, _BACK)]
