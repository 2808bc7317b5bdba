"""Execution of candidate code: providers, pools of warm sandboxes, live candidates.

The engine asks a candidate for data through a `Session`; every answer is a claim in
bytes. This package imports neither the engine nor the archive.
"""

from evolve.sandbox.choose import make_provider, prepare_provider, provider_class
from evolve.sandbox.errors import (
    CandidateFault,
    NoSuchSandbox,
    ProviderFault,
    Reason,
    SandboxError,
    SandboxUnavailable,
)
from evolve.sandbox.limits import Limits
from evolve.sandbox.pool import Pool
from evolve.sandbox.provider import (
    ONE_THREAD,
    Box,
    ImageBuild,
    Provider,
    SandboxSpec,
)
from evolve.sandbox.session import Measured, Reply, Session

__all__ = [
    "ONE_THREAD",
    "Box",
    "CandidateFault",
    "ImageBuild",
    "Limits",
    "Measured",
    "NoSuchSandbox",
    "Pool",
    "Provider",
    "ProviderFault",
    "Reason",
    "Reply",
    "SandboxError",
    "SandboxSpec",
    "SandboxUnavailable",
    "Session",
    "make_provider",
    "prepare_provider",
    "provider_class",
]
