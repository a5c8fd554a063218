"""`manage.py create_admin`: the first administrator of an installation."""

import sys
from argparse import ArgumentParser
from getpass import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.identity.domain.principal import make_system_principal
from core.identity.services.bootstrap import ADMIN_ROLES, create_admin
from core.kernel.errors import PlatformError


class Command(BaseCommand):
    """Makes an account with roles everywhere, or gives them to one that lacks them."""

    help = (
        "Make an administrator: an account with ordinary roles everywhere, which set up people "
        "and projects but neither decide nor publish. Repeat it to give an existing account the "
        "roles again. The password is asked for, or read from standard input."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("username", help="name of the account, in lower case")
        parser.add_argument("--name", default="", help="what people call them; default: username")
        parser.add_argument("--email", default="", help="where notices go")
        parser.add_argument(
            "--role",
            action="append",
            dest="roles",
            metavar="SLUG",
            help=f"a role to give everywhere, repeatable; default: {' and '.join(ADMIN_ROLES)}",
        )
        secrets = parser.add_mutually_exclusive_group()
        secrets.add_argument(
            "--password-stdin", action="store_true", help="read the password from standard input"
        )
        secrets.add_argument(
            "--no-password", action="store_true", help="the account cannot sign in with one"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do it. Raises: CommandError."""
        try:
            user = create_admin(
                principal=make_system_principal(),
                username=options["username"],
                name=options["name"] or options["username"],
                email=options["email"],
                password=self._read_password(options),
                role_slugs=options["roles"] or ADMIN_ROLES,
            )
        except PlatformError as error:
            lines = [f"{problem.path} {problem.message}".strip() for problem in error.problems]
            raise CommandError("\n".join([error.message, *lines])) from error
        self.stdout.write(f"{user.username} is an administrator.")

    def _read_password(self, options: dict[str, Any]) -> str | None:
        if options["no_password"]:
            return None
        if options["password_stdin"]:
            return sys.stdin.readline().rstrip("\n")
        password = getpass("Password: ")
        if getpass("Again: ") != password:
            raise CommandError("The two passwords differ.")
        return password
