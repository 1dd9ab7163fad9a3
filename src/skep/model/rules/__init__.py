"""The rule book: what each value of a wish must be, whoever wishes it and for whatever.

names         of services, networks, volumes and containers
resources     memory and processors
process       variables, working folder, capabilities, health check, names in /etc/hosts
signals       by name and number
mounts        one mount
subnets       a network's subnet, gateway and ranges
logs          log drivers and their options
endpoints     options of a place on a network

Rules are pure functions of values. The engine judges what a container asks for by them, and control
what a service's containers will ask for: what a service may have, its containers can be made with.
"""

from __future__ import annotations

from skep.kit.errors import InvalidArgument


class Broken(InvalidArgument):
    """A value that breaks a rule, in the words of docker's engine.

    `rule` and `values` are for callers whose clients know other words for it.
    """

    def __init__(self, rule: str, sentence: str, **values: object) -> None:
        super().__init__(sentence)
        self.rule = rule
        self.values = values
