"""The containers of this node: what is kept of each, how it lives, how it is shown."""
