"""The Django app of identity and access."""

from django.apps import AppConfig


class IdentityConfig(AppConfig):
    """People, teams, projects, roles, tokens, and the one function that says who may do what."""

    name = "core.identity"
    label = "identity"
    verbose_name = "Identity and access"

    def ready(self) -> None:
        """Register the hard denials, what the log of settings watches, and the console's place."""
        from core.identity import denials, settings_log
        from core.identity.selectors.console import can_enter_console
        from core.toolkit.portal.frame import NavItem, register_nav

        denials.register()
        settings_log.register()
        register_nav(
            NavItem(
                key="access",
                label="Access",
                icon="shield",
                url_name="admin:index",
                group="Govern",
                position=90,
                phone=False,
                is_shown=lambda principal: can_enter_console(principal=principal),
            )
        )
