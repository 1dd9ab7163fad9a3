"""Subnets, published ports, virtual addresses, and every task's own addresses."""

from skep.manager.allocator.room import Allocator

__all__ = ["Allocator"]
