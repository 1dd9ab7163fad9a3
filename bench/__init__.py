"""How skep compares on this machine, in one run: `make bench`.

The same image, the same container, the same calls of the Engine API by the same client, in turns:
skep, dockerd in swarm mode where Debian's docker.io is installed, and a bare loop of runc and
conmon that no orchestrator can beat. Ratios are what counts; seconds are this machine's.

    figures.py      what is measured and what is to be reached
    workshop.py     scratch folders and network namespaces without a way outside
    program.py      a daemon in such a namespace, started and ended by its pid
    engines.py      skep and dockerd, behind one face
    bare.py         the bare loop
    api.py          the client of the Engine API
    calls.py        what a user asks of a cluster, and waiting until it is so
    memory.py       PSS of processes
    one_machine.py  the figures of one node
    many_nodes.py   the figures of three
    crowd.py        the figures of five thousand, which run nothing
    table.py        what is printed
"""
