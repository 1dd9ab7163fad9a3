"""How many files may be open: in the daemon, and in containers."""

from __future__ import annotations

import resource
from pathlib import Path

from skep.testing.daemon import daemon_host

_GIVEN = 512


def test_a_daemon_uses_all_it_may_and_containers_get_what_it_was_given(tmp_path: Path) -> None:
    """Each node is a file of its manager; programs in containers may try every number there is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_GIVEN, hard))
    try:
        with daemon_host(tmp_path) as host:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            host.load_server("web:1", "one")
            assert host.process is not None
            assert resource.prlimit(host.process.pid, resource.RLIMIT_NOFILE) == (hard, hard)
            words = ("web:1", "sh", "-c", "ulimit -n; ulimit -Hn")
            assert host.ok("run", "--rm", *words).split() == [str(_GIVEN), str(hard)]
            asked = host.ok("run", "--rm", "--ulimit", "nofile=100:200", *words)
            assert asked.split() == ["100", "200"]
            host.ok("run", "-d", "--name", "box", "web:1")
            assert host.ok("exec", "box", *words[1:]).split() == [str(_GIVEN), str(hard)]
            host.ok("rm", "-f", "box")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
