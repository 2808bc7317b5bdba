"""Start the fork server: load this directory as the package `evolve_inside`.

The package is loaded by its path, whatever that is. If it were found on `sys.path`, a
candidate would find the package's modules among its own.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location

PACKAGE = "evolve_inside"


def load_package() -> None:
    """Register the package, so that its modules can be imported by their full names."""
    here = os.path.dirname(os.path.abspath(__file__))
    del sys.path[0]  # the directory of this script
    spec = spec_from_file_location(
        PACKAGE, os.path.join(here, "__init__.py"), submodule_search_locations=[here]
    )
    assert spec is not None and spec.loader is not None
    package = module_from_spec(spec)
    sys.modules[PACKAGE] = package
    spec.loader.exec_module(package)


if __name__ == "__main__":
    load_package()
    import_module(f"{PACKAGE}.server").main()
