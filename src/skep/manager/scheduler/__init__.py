"""Which node each task runs on."""

from skep.manager.scheduler.enforcer import ConstraintEnforcer
from skep.manager.scheduler.room import Scheduler

__all__ = ["ConstraintEnforcer", "Scheduler"]
