"""Fast DDS settings for large images, used by all our processes.

With the defaults of Fast DDS most image pairs are lost between processes: the publisher's shared
memory segment holds half an image. `config/fastdds.xml` gives it 16 MB.
"""

from __future__ import annotations

import os
import sys

from fafnet_ros.share import share_file

# Jazzy and older read the first name, Kilted and newer the second.
_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")


def use_large_image_profile() -> None:
    """Point Fast DDS to our profile, unless the user has chosen one. Call before `rclpy.init`."""
    if any(os.environ.get(name) for name in _VARIABLES):
        return
    try:
        profile = str(share_file("config/fastdds.xml"))
    except FileNotFoundError as error:  # slower, but it works
        print(
            f"fafnet_ros: Fast DDS uses its defaults, which lose images: {error}", file=sys.stderr
        )
        return
    os.environ.update(dict.fromkeys(_VARIABLES, profile))
