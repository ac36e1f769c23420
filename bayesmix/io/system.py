"""Information on the system for bug reports."""

from __future__ import annotations

import platform

from bayesmix.core.parallel import usable_cores
from bayesmix.version import CORE_PACKAGES, OPTIONAL_PACKAGES, versions


def show_versions() -> None:
    """Print the information for a bug report: versions, platform, cores.

    Examples
    --------
    >>> import bayesmix as bm
    >>> bm.show_versions()  # doctest: +ELLIPSIS
    bayesmix      ...
    """
    for name, number in versions(CORE_PACKAGES + OPTIONAL_PACKAGES).items():
        print(f"{name:<13} {number}")
    print(f"{'platform':<13} {platform.platform()}")
    print(f"{'cores':<13} {usable_cores()}")
