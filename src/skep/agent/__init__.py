"""Makes one node true to its assignments, with a manager in sight or without.

Read in this order:

    step            from (wish, fact) to the one next step of a task: a table
    controller      takes one task through its life by it
    worker          a controller for each assigned task; what they need beside is in supplies, kinds
      serving       keeps published ports and names true to the tasks that serve
      reporter      what controllers saw, first to disk (remembered over a restart), then on
    executor        the door to what runs a task: real containers, or a fake that passes its suite
      containers    the real one, over the engine; container translates a task into its wish
    agent           keeps a session with a manager: dial reaches one of the roster; engine_check
                    says when the engine hangs, and there is to be none
      session       one line, from Hello to its end; calls is what a manager may ask meanwhile
    identity        key and certificate on disk; renewal keeps them good
"""
