"""What holds whole runs back: concurrency groups, quotas, pauses. Read `groups` first."""
