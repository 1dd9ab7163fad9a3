"""Forgets tasks: history beyond its limit, what was removed, what is lost for good."""

from skep.manager.reaper.room import Reaper

__all__ = ["Reaper"]
