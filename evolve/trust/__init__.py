"""What this user trusts on this machine: task directories that others wrote, and runs.

A task or a run from somebody else may not choose what protects this user: the sandbox, the
plugins, the models and their addresses. `evolve trust DIR` accepts one as it is now.
"""
