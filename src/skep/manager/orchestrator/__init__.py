"""Keeps services as wanted: the right tasks, on nodes that live, of the newest spec.

A *slot* is a place for one running task: a number from 1 in a replicated service, a node in a
global one. Tasks come and go, the slot stays. A task that is *wanted* in its slot (desired state
up to RUNNING) is its *holder*. A slot has one holder, except while a start-first move is under
way: then the newer one stands beside the older until it runs.

One plan of one service is a look at the service, its tasks and their nodes, in this order:

    replicated.py, global_.py   which slots there should be; which are too many, which are vacant
    settle.py                   each slot by itself: the dead and the lost leave, a successor comes
                                (restart.py says when and whether), held tasks are raised
    update.py                   slots whose holder is *stale* (stale.py) get new tasks, a few at a
                                time; failures are counted and acted upon
    drain.py                    slots whose holder stands on a draining node move, a few at a time
    rebalance.py                slots move to nodes that joined, where the service asks for it

A slot in which something happened is settled without a look at the others, where they do not wait
for each other (`keys.py`). `removal.py` ends the tasks of services that are gone. What a plan does
is gathered in a `Draft`, what it looks at stands in a `Scene`. Nothing is remembered between plans:
the delay of a restart, the attempts that count, the progress of an update are all read from the
tasks and the service, so a new leader goes on where the old one stopped (in Swarm they are lost
with it).

Beyond that the rules are Swarm's, and each module says where they are not. The main ones:

- The successor of a task whose node is down starts at once: the restart delay is there to calm
  tasks that crash, and this one did not (Swarm waits 5 s more). It uses up no attempt either.
- A drain moves tasks within the service's update settings instead of stopping all at once.
- A global task on a node that is down is left alone: nobody can replace it, so when the node
  returns with the container still running there is nothing to do.
- A new task waits for the task before it to stop also where a slot was emptied and filled again.
"""

from skep.manager.orchestrator.room import Orchestrator

__all__ = ["Orchestrator"]
