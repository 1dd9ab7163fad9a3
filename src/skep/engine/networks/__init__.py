"""The networks of this node: objects, addresses and names; the kernel part is skep.network."""
