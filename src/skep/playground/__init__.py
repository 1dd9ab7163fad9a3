"""Many real nodes on one machine: `skep playground`.

Each node is a machine of its own as far as the kernel can make one: its network, process and mount
namespaces, its hostname, its address on a switch that is a namespace too, its own state folder. In
it runs the same daemon, which joins by the same port and token. Killing a node kills all that runs
in it at once, as pulling its plug would.

    places.py    names, addresses and folders: pure
    switch.py    the network between the nodes
    machine.py   one node: its namespaces, its first process, the daemon in it
    preload.py   the memory that the nodes share
    lock.py      one command at a time
    cluster.py   up, down, status, kill, start, partition, heal
"""
