"""Camera messages to arrays: images raw and compressed, camera_info, and their pairing by stamp.

Nothing here imports ROS: a message is whatever has the fields (see `protocols`), so that the node
and the reader of recordings share one implementation.
"""
