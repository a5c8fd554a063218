"""What the kinds of the packages below, and of the ledger itself, are called. Read `register`."""

from audit.wording import register_kinds

_ACCESS = {
    "access.refused": ("Refused", "was refused[: {permission}]"),
    "role.assigned": ("Role given", "gave a role[: {role}]"),
    "role.revoked": ("Role taken", "took a role away[: {role}]"),
    "project.shared": ("Project shared", "shared a project[: {permission}]"),
    "project.unshared": ("Sharing ended", "ended the sharing of a project[: {permission}]"),
    "member.added": ("Joined a team", "added an account to a team"),
    "member.removed": ("Left a team", "took an account out of a team"),
    "team.created": ("Team made", "made a team"),
    "token.created": ("Token made", "made an API token"),
    "token.revoked": ("Token ended", "ended an API token"),
}
_ACCOUNTS = {
    "session.begun": ("Signed in", "signed in"),
    "session.ended": ("Signed out", "signed out"),
    "sessions.ended": ("Sessions ended", "ended all sessions of an account"),
    "user.created": ("Account made", "made an account[ for a {kind}]"),
    "user.changed": ("Account changed", "changed an account[: {fields}]"),
    "user.activated": ("Account opened", "opened an account again"),
    "user.deactivated": ("Account closed", "closed an account"),
}
_PROJECTS = {
    "project.created": ("Project made", "made the project[ {slug}]"),
    "project.changed": ("Project changed", "changed the project[: {fields}]"),
    "project.paused": ("Project paused", "paused the project: nothing starts by itself"),
    "project.resumed": ("Project resumed", "let the project go on"),
    "project.quota_changed": ("Quota changed", "changed the project's quota"),
    "setting.changed": ("Setting changed", "wrote settings[: {action} {model}][, {fields}]"),
    "secret.created": ("Secret set", "set a secret"),
    "secret.changed": ("Secret replaced", "replaced a secret's value"),
    "secret.deleted": ("Secret deleted", "deleted a secret"),
    "secrets.rotated": ("Secrets sealed anew", "sealed all secrets with a new key"),
}
_LEDGER = {
    "key.added": ("Signing key added", "added a key that signs the log"),
    "key.rotated": ("Signing key rotated", "put a new signing key beside the old one"),
    "key.retired": ("Signing key retired", "retired a signing key"),
    "seal.refused": ("Sealing refused", "refused to sign[: {reason}]"),
    "head.adopted": ("Tree head adopted", "took the stored tree head for the last one signed"),
    "log.restored": ("Log restored", "began the log anew after a restore"),
    "log.anchored": ("Tree head anchored", "had a tree head[ of {size} entries] kept elsewhere"),
    "log.disputed": ("Log disputed", "was told of another log[: {size} entries elsewhere]"),
    "sink.stopped": ("Forwarding stopped", "stopped forwarding[ at leaf {leaf}]"),
    "sink.resumed": ("Forwarding resumed", "let forwarding go on"),
    "sink.rewound": ("Forwarding set back", "set forwarding back[ to leaf {leaf}]"),
    "export.requested": ("Export asked for", "asked for an export[ ({kind})]"),
    "export.completed": ("Export", "exported[ {entries}] entries[ ({kind})]"),
    "export.downloaded": ("Export downloaded", "downloaded an export[ ({kind})]"),
    "export.cancelled": ("Export cancelled", "cancelled an export[ ({kind})]"),
    "export.failed": ("Export failed", "could not finish an export[: {code}]"),
    "export.expired": ("Export deleted", "deleted the file of an export[ ({kind})]"),
    "report.made": ("Report", "made a compliance report"),
    "redaction.requested": ("Redaction asked for", "asked for values to be erased"),
    "redaction.approved": ("Redaction approved", "approved that values are erased"),
    "redaction.declined": ("Redaction declined", "declined that values are erased"),
    "redaction.completed": ("Redaction done", "erased everything that was ordered"),
    "payload.redacted": ("Values erased", "erased values[ of {stream}]"),
    "retention.changed": ("Retention changed", "changed how long values are kept"),
    "hold.placed": ("Legal hold", "placed a legal hold"),
    "hold.released": ("Legal hold ended", "released a legal hold"),
}


def register() -> None:
    """Name the kinds; called in `ready()`."""
    register_kinds("access", label="Access", icon="shield", words=_ACCESS)
    register_kinds("accounts", label="Accounts", icon="users", words=_ACCOUNTS)
    register_kinds("projects", label="Projects", icon="settings", words=_PROJECTS)
    register_kinds("ledger", label="Ledger", icon="scroll-text", words=_LEDGER)
