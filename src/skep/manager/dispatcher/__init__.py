"""Sends every node what it must make true, hears what it observed, and notices when it is silent.

`assignments` computes what a node must be told, `session` tells one agent, `reports` commits what
agents say, `liveness` decides who is lost, `dispatcher` holds the sessions together.
"""

from skep.manager.dispatcher.dispatcher import Dispatcher

__all__ = ["Dispatcher"]
