"""One host's links, addresses, load balancing tables and resolver.

It knows no containers: it gets values. Read in this order:

    values          the nouns: Bridge, Attachment, Sandbox, PublishedPort, VirtualAddress, Zone
    host            the door, HostNetwork: what may be asked
    kernel          the real one, which puts together what tools opens:
      host_links    one worker thread for bridges and sandboxes, over
        bridges, sandboxes      what to say to the kernel, and in which order
        links, conntrack        the messages
        netlink, netns, sysctl  the doors: sockets, namespaces, settings
      firewall      the host's rules as they are and as they shall be, over
        rules                   as text: pure
        nft                     the door to nftables
      ports         host ports, claimed with sockets
      other_firewalls         ways through other programs' firewalls
      rule_changes  when those change
      translation   rules inside sandboxes, as text in `sandbox_rules`
      resolver      127.0.0.11 in each sandbox, over dns (messages), zones (names), upstream
    names           every name derived from an id
    files           /etc/hosts and /etc/resolv.conf of a container
"""
