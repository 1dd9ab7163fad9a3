"""How much a template may cost: people write them, and managers and nodes execute them."""

from __future__ import annotations

import sys

from skep.template.errors import TemplateError


class Budget:
    """What is left for the templates that it is given to.

    `steps` are tokens read and nodes executed (10 to 20 µs each), `characters` those that are
    read, written or handed to functions.
    """

    def __init__(self, steps: int, characters: int) -> None:
        self._steps = steps
        self._characters = characters

    def step(self) -> None:
        """Raises TemplateError when there is nothing left, as `write` does."""
        self._steps -= 1
        if self._steps < 0:
            raise TemplateError("exceeded the number of steps that templates may take")

    def write(self, text: object) -> None:
        """Count what is a text; other values are as small as they are."""
        if isinstance(text, str):
            self._characters -= len(text)
            if self._characters < 0:
                raise TemplateError("exceeded the length that expanded templates may have")


UNLIMITED = Budget(sys.maxsize, sys.maxsize)
"""For templates of the person whose processor it is."""
