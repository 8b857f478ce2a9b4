"""The models of one user: the package's and their own, and the files that are there."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from skillrouter_gguf import model_file
from skillrouter_gguf.catalogue import Catalogue, load_catalogue
from skillrouter_gguf.errors import ModelFileError
from skillrouter_gguf.pins import Pin, read_pins

if TYPE_CHECKING:
    from pathlib import Path

    from skillrouter_gguf.catalogue import Model


class ModelStore:
    """Which models there are, and which of them can be opened.

    Attributes:
        folder: for what is fetched or made; need not be there.
    """

    def __init__(self, folder: Path, own_entries: Path | None = None) -> None:
        self.folder = folder
        self._own_entries = own_entries

    @cached_property
    def catalogue(self) -> Catalogue:
        """The package's entries and the user's own, as they were when first asked for."""
        packaged = load_catalogue()
        return packaged if self._own_entries is None else packaged.with_own(self._own_entries)

    def pin(self, name: str) -> Pin | None:
        """What was fetched for the model `name`, if it is what its entry asks for.

        Raises:
            CatalogueError: if there is no such model.
            ModelFileError: if the file of pins can't be read.
        """
        model = self.catalogue.model(name)
        pin = read_pins(self.folder).get(name)
        return pin if pin and pin.belongs_to(model) else None

    def ready(self, name: str) -> Model:
        """The model `name` with the `file`, `size` and `sha256` of what is in place.

        The file's content is looked at when it is opened. An embedded model is always ready.

        Raises:
            CatalogueError: if there is no such model.
            ModelFileError: if its file is not there, or not the one that was checked; says what
                to run.
        """
        model = self.catalogue.model(name)
        if model.embedded:
            return model
        remedy = f"Run `skillrouter-mcp models pull {name}`."
        pin = self.pin(name)
        if pin is None:
            if name in read_pins(self.folder):
                raise ModelFileError(
                    f"the entry of the model {name} has changed since it was fetched. {remedy}"
                )
            raise ModelFileError(f"the model {name} is not here yet. {remedy}")
        try:
            size = pin.path.stat().st_size
        except OSError as error:
            raise ModelFileError(
                f"{pin.path}: the file of the model {name} can't be found any more "
                f"({error.strerror}). {remedy}"
            ) from error
        if size != pin.size:
            raise ModelFileError(
                f"{pin.path}: no longer the file that was checked as the model {name}; it has "
                f"{size:,} bytes, expected {pin.size:,}. {remedy}"
            )
        pinned = {"file": pin.path.name, "size": pin.size, "sha256": pin.sha256}
        return model.model_copy(update={**pinned, "revision": pin.revision})

    def path(self, model: Model) -> Path:
        """Where the file of a model is that is `ready`.

        Raises:
            ModelFileError: if nothing was fetched for it; says what to run.
        """
        if model.embedded:
            return model_file.EMBEDDED / model.file
        pin = read_pins(self.folder).get(model.name)
        if pin is None:
            raise ModelFileError(
                f"the model {model.name} is not here yet. Run `skillrouter-mcp models pull "
                f"{model.name}`."
            )
        return pin.path
