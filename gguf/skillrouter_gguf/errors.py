"""What can go wrong with a model, in words for the person who has to act on it."""

from __future__ import annotations


class ModelError(Exception):
    """A model can't be used; the message says what, where and what to do about it."""


class CatalogueError(ModelError):
    """The catalogue has no such entry, or can't be read."""


class ModelFileError(ModelError):
    """A model file is missing, cut short, or not the file that its entry describes."""


class EngineError(ModelError):
    """llama.cpp can't be loaded, or refused a model or a computation."""


class SelfCheckError(ModelError):
    """A loaded model computes something else than it should."""


class ConversionError(ModelError):
    """A checkpoint can't be turned into GGUF."""


class DownloadError(ModelError):
    """A model can't be fetched."""


class ConnectionLostError(DownloadError):
    """The hub can't be reached just now, or stopped answering; the next try may go well."""
