"""What comes in: images paired by stamp, camera_infos, transforms, and where down is."""
