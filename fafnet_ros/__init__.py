"""The ROS 2 side: RGB-D topics in, segmentation images out."""
