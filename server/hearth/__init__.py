"""Hearth: a local-first AI pair for any LSP 3.18 editor. Importing this package does nothing."""

__version__ = "0.1.0"
