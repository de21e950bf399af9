#!/bin/bash
# Sources ROS and the workspace, then becomes the command: it gets the signals of `docker stop`.
set -e
source /opt/ros/jazzy/setup.bash
source /workspace/install/setup.bash
exec "$@"
