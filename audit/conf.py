"""Settings of the ledger, read when asked. Read `ledger_origin` first."""

from pathlib import Path

from django.conf import settings


def ledger_origin() -> str:
    """Return the log's name. Setting `LEDGER_ORIGIN`.

    It is the first line of every tree head and the name its keys sign under; it never changes, but
    for a restore: see `audit.sealing.restoring`.
    """
    return str(settings.LEDGER_ORIGIN)


def ledger_keys_dir() -> Path:
    """Return the folder of the private keys. Setting `LEDGER_KEYS_DIR`.

    Only the sealer reads it, and `manage.py ledger` where it looks after keys.
    """
    return Path(settings.LEDGER_KEYS_DIR)


def ledger_seal_seconds() -> float:
    """Return the seconds between two looks for entries that wait. Setting `LEDGER_SEAL_SECONDS`."""
    return float(settings.LEDGER_SEAL_SECONDS)


def ledger_log_is_public() -> bool:
    """Return whether anybody may read tree heads and hashes. Setting `LEDGER_LOG_PUBLIC`.

    What entries say is never public.
    """
    return bool(settings.LEDGER_LOG_PUBLIC)


def ledger_exports_dir() -> Path:
    """Return the folder of exports. Setting `LEDGER_EXPORTS_DIR`.

    Web processes, mailers and sweeps on several machines need one folder that they share.
    """
    return Path(settings.LEDGER_EXPORTS_DIR)


def public_url() -> str:
    """Return where people reach this deployment. Setting `PUBLIC_URL`."""
    return str(settings.PUBLIC_URL)
