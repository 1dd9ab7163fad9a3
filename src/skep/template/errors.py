"""What a template does wrong, in the words of Go's text/template."""

from __future__ import annotations


class TemplateError(ValueError):
    """The template cannot be parsed or executed."""
