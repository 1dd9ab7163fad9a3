"""The containers of this node: what is kept of each, how it lives, how it is shown.

Read in this order:

    containers      every call that docker and the agent have for them; puts the room together, over
      base          what all parts stand on: folder, registry, runtime …
      view          a container as it is now, for those who ask often
    wish            what is asked for, in values; docker's words come to it here, by
      ports, extra_hosts, mounts, security, devices
      checks        what of it is refused, and why
    creation        from a wish to a record; config lays it over the image's words
    record          what is kept on disk of one; notes writes what has happened
    container       one in memory; Registry finds it by id or name
    lifecycle       start, stop, kill, pause, remove, over
      runs          one run, from the intent to what follows its end; restart says if one more comes
        preparation its root, volumes, /etc, over rootfs, users
        links       its addresses, sandbox and ports
        bundle      all that as the process that the runtime is asked for
        health      probes while it runs
    discovery       after a restart of the engine: what is so, and what to do about it
    execs, attach, logs, stats, top      what is asked of one that runs
    show, words, choosing                inspect and lists; updating changes limits
"""
