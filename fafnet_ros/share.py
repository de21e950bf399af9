"""Files that are installed in `share/fafnet_ros`, found in every kind of installation."""

from __future__ import annotations

import site
import sys
import sysconfig
from pathlib import Path

PACKAGE = "fafnet_ros"


def share_file(relative: str) -> Path:
    """Return a file of the package's share folder, e.g. ``config/fastdds.xml``.

    Looked for in the ament index (colcon, a ROS distribution), beside the source (editable
    installation, a checkout) and in the environment's own share folder (pip).

    Raises:
        FileNotFoundError: it is in none of them.
    """
    candidates = [*_ament_share(), Path(__file__).resolve().parents[1]]
    # pip: into the environment, the system's scheme (Debian: /usr/local), or for one user.
    bases = (sys.prefix, sysconfig.get_path("data"), site.getuserbase())
    candidates += [Path(base, "share", PACKAGE) for base in bases]
    for folder in candidates:
        if (folder / relative).is_file():
            return folder / relative
    places = ", ".join(str(folder) for folder in candidates)
    raise FileNotFoundError(f"{relative} is in none of {places}; install the package again")


def _ament_share() -> list[Path]:
    try:
        from ament_index_python.packages import get_package_share_directory

        return [Path(get_package_share_directory(PACKAGE))]
    except (ImportError, LookupError, OSError):
        # PyPI's wheels set no AMENT_PREFIX_PATH; a ROS distribution without this package has none.
        return []
