"""The database's own guards: numbers of runs, and versions that never change."""

from django.db import migrations

VERSION_GUARD = """
CREATE FUNCTION engine_version_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'UPDATE' THEN
        RAISE EXCEPTION 'versions are never deleted' USING ERRCODE = 'restrict_violation';
    END IF;
    IF (to_jsonb(NEW) - ARRAY['status', 'published_at', 'published_by_id'])
        IS DISTINCT FROM (to_jsonb(OLD) - ARRAY['status', 'published_at', 'published_by_id'])
    THEN
        RAISE EXCEPTION 'the content of a version never changes; save a new one'
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NOT (NEW.status = OLD.status
            OR (OLD.status, NEW.status) IN (('draft', 'published'), ('published', 'retired')))
    THEN
        RAISE EXCEPTION 'a version goes from draft to published to retired, never back'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER engine_version_guard_row BEFORE UPDATE OR DELETE ON engine_version
    FOR EACH ROW EXECUTE FUNCTION engine_version_guard();
CREATE TRIGGER engine_version_guard_truncate BEFORE TRUNCATE ON engine_version
    FOR EACH STATEMENT EXECUTE FUNCTION engine_version_guard();
ALTER TABLE engine_version ENABLE ALWAYS TRIGGER engine_version_guard_row;
ALTER TABLE engine_version ENABLE ALWAYS TRIGGER engine_version_guard_truncate;
"""

VERSION_GUARD_GONE = """
DROP TRIGGER engine_version_guard_row ON engine_version;
DROP TRIGGER engine_version_guard_truncate ON engine_version;
DROP FUNCTION engine_version_guard();
"""


class Migration(migrations.Migration):
    dependencies = [("engine", "0001_initial")]

    operations = [migrations.RunSQL(VERSION_GUARD, VERSION_GUARD_GONE)]
