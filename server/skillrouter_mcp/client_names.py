"""Names of clients as arguments: checked where they are read, and completed by the shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from skillrouter_install import Client

    _ClientType = click.ParamType[Client]
else:
    _ClientType = click.ParamType  # older versions of click know no type arguments


class ClientName(_ClientType):
    """A client by its id or title; the value is the `Client`."""

    name = "client"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> Client:
        """See `click.ParamType.convert`; a name that is unknown is bad usage."""
        from skillrouter_install import InstallError, find_client

        try:
            return find_client(value)
        except InstallError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The ids that begin so, each with its title."""
        from skillrouter_install import clients

        return [
            CompletionItem(client.id, help=client.title)
            for client in clients()
            if client.id.startswith(incomplete)
        ]
