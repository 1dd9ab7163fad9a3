"""The texts that flags take, as the Engine API's JSON: ports, mounts, sizes, names and the rest.

Pure: a function raises ValueError with the reason when a text is wrong. Where a reader looks at
this machine (files of variables, the environment), the reading is an argument.
"""
