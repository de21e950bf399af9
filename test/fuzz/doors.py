"""All doors, by name."""

from __future__ import annotations

import bag_doors
import file_doors
import message_doors
import weight_doors
from door import Door

DOORS: dict[str, Door] = {
    door.name: door
    for door in (
        *message_doors.DOORS,
        *file_doors.DOORS,
        *weight_doors.DOORS,
        *bag_doors.DOORS,
    )
}
