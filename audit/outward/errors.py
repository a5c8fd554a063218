"""What may go wrong on the way out of the ledger, for callers to act on."""

from core.kernel.errors import InvalidError, MissingError


class OutwardSettingError(InvalidError):
    """An anchor or a sink is configured in a way that cannot work; `details["name"]` says which."""

    code = "audit.outward_setting_invalid"
    title = "An anchor or a sink of the ledger is configured wrongly."


class OutwardMissingError(MissingError):
    """There is no such anchor or sink, or the caller may not see where the ledger goes."""

    code = "audit.outward_missing"
    title = "There is no such anchor or sink."
