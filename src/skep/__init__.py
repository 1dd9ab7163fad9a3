"""Container orchestration in Python: Docker Swarm's work without a Docker daemon."""

__version__ = "0.1.0"
