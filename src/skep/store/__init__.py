"""The cluster's objects: read in memory, changed by commits, watched in order. Read it in this
order:

    kinds.py       what is stored: a row for each kind of object
    change.py      changes, commits, events; the `View` that everybody reads
    store.py       `Store`, the one door for every room
    memory.py      tables and indexes: a `View` that can be changed
    staging.py     from changes to commits, pure
    primary.py     the `Store` of the manager that writes
    replica.py     the `Store` of one that follows
    watch.py       commits as they come, from a bounded queue
    log.py         the door to what survives us, and what its refusals mean
    form.py        what is written there
    sqlite.py      the log in one file
"""
