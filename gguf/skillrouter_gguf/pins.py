"""What was fetched for an entry of the catalogue: which file of which commit, and its hash."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from skillrouter_gguf.errors import ModelFileError

if TYPE_CHECKING:
    from skillrouter_gguf.catalogue import Model

_FILE = "pins.json"


class Pin(BaseModel):
    """One model as it was fetched and checked.

    Attributes:
        path: where the file is, in full.
        repo, revision, file: what was downloaded; `file` is empty where the file was made of
            safetensors, all are empty for a file of the user's own.
        convert: the format of the weights that the file was made with.
        size, sha256: of the file at `path`.
        known_before: whether the catalogue said which hash to expect.
    """

    model_config = ConfigDict(frozen=True)

    path: Path
    repo: str = ""
    revision: str = ""
    file: str = ""
    convert: str = ""
    size: int = Field(gt=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    known_before: bool = False

    def belongs_to(self, model: Model) -> bool:
        """Whether `model` still asks for what was fetched."""
        return (
            self.repo == model.repo
            and self.convert == model.convert
            and model.revision in ("", self.revision)
            and model.file in ("", self.file)
            and model.sha256 in (None, self.sha256)
            and (model.path is None or model.path.expanduser() == self.path)
        )


_pins = TypeAdapter(dict[str, Pin])


def read_pins(folder: Path) -> dict[str, Pin]:
    """All pins by the model's name. Raises ModelFileError if the file can't be read."""
    path = folder / _FILE
    try:
        return _pins.validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ModelFileError(f"{path}: can't be read ({error.strerror}).") from error
    except ValidationError as error:
        raise ModelFileError(
            f"{path}: damaged ({error.errors()[0]['msg']}). Delete it and run `skillrouter-mcp "
            "models pull` again; files that are there are not downloaded twice."
        ) from error


def write_pin(folder: Path, name: str, pin: Pin) -> None:
    """Add a pin, or replace the one of the same name. Raises OSError.

    Whoever calls this holds the lock on the folder; readers see the old file or the new one.
    """
    content = _pins.dump_json(read_pins(folder) | {name: pin}, indent=2)
    handle, scratch = tempfile.mkstemp(dir=folder, suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content + b"\n")
            file.flush()
            os.fsync(file.fileno())
        Path(scratch).replace(folder / _FILE)
    except BaseException:
        with suppress(OSError):
            Path(scratch).unlink()
        raise
