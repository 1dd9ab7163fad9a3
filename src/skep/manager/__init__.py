"""What a cluster wants, what it decides, and what its nodes are told.

Read in this order:

    room            what a deciding room is: three pure functions; observations are an argument
      orchestrator  which tasks there should be
      allocator     their addresses and ports
      scheduler     their nodes, with constraint
      reaper        which are forgotten
      counting      rooms whose decision needs a sum over everything; slices: how much at a time
    agenda          whose turn it is, and what becomes of a plan; faults sets aside what has none
    loop            the agenda over a store: look, plan, commit
    leadership      what only the manager that leads does: begins and ends
    manager         what every manager always has
      control       what doors ask of a cluster: checked wishes become commits
      story, logs   what happened; what tasks wrote
      reception     who may say what on the managers' port
      dispatcher    what nodes are told, and what they say
      ca            the cluster's root, certificates and tokens; founding begins with them
"""
