"""The extra `llm`: litellm, for other providers and for its list of prices.

It takes seconds to import, so it is imported only when needed.
"""

import functools
import os
import warnings
from importlib.util import find_spec
from typing import Any

from evolve.errors import ConfigError, pip_line

_NO_LOOK_UP = "LITELLM_LOCAL_MODEL_COST_MAP"
EXTRA = "llm"


@functools.cache
def find_litellm() -> Any | None:
    """Import litellm without its network look-ups and log output.

    Returns:
        The module; None if it is not installed.
    """
    if find_spec("litellm") is None:
        return None
    given = os.environ.get(_NO_LOOK_UP)
    os.environ[_NO_LOOK_UP] = given or "True"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import litellm
    finally:
        if given is None:
            del os.environ[_NO_LOOK_UP]  # litellm reads it only during the import
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    # counting tokens must not need a network
    litellm.disable_hf_tokenizer_download = True
    return litellm


def load_litellm(user: str) -> Any:
    """Import litellm, or explain how to install it.

    Args:
        user: the model or feature that needs it, for the message

    Returns:
        The module.

    Raises:
        ConfigError: it is not installed; the hint is the command that installs it
    """
    litellm = find_litellm()
    if litellm is None:
        raise ConfigError(
            f"{user} needs litellm, which is not installed", pip_line(EXTRA)
        )
    return litellm
