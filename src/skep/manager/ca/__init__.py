"""The cluster's identity: a root, join tokens made from it, and certificates that carry roles.

Sources for forms and numbers: swarmkit ca/certificates.go and ca/config.go.
"""
