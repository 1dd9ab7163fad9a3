"""One container process: an OCI bundle run by runc (or crun) under conmon.

bundle.py   the values that describe a process
oci.py      those values as an OCI runtime configuration (pure)
seccomp.py  the default system call filter (pure)
apparmor.py the default AppArmor profile, and loading it
door.py     `Runtime`: what the engine may ask; the values that come back
conmon.py   the real Runtime; the fake is skep.testing.runtime
cgroups.py  limits, statistics, members of a container's cgroups
logs.py     what a container wrote, read back and rotated
"""
