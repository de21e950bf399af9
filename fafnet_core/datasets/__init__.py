"""Labelled RGB-D frames to train and to evaluate with.

specification   what a data set states: classes, splits, layouts, cameras, and how to read it
nyuv2           NYU-Depth V2: specification, download, official crop
sunrgbd         SUN RGB-D: specification, download
sun_scene       one scene folder of SUN RGB-D: depth bits, camera, gravity
folder          folders of image files: your own, and those made for other projects
folder_frames   the frames in them
prepared        folders that `fafnet prepare` wrote
catalogue       the data sets by name, as the `data:` section of a configuration
mapped          frames whose classes are merged, dropped or of another set
mixed           frames of two data sets in one training

splits          training, validation and test frames
images          sizes of images
label_images    label images, and what their numbers mean
image_lists     lists of images
checks          common faults of data sets
matlab          MATLAB's two file formats
frames          images and camera files
frame_folder    folders of frames without labels, as recorders and other tools write them
frame_layouts   what marks those folders, where images are, what is known of their cameras
frame_pairs     which colour image goes with which depth image
frame_cameras   the tools' camera files
depth_files     depth in files that are no images

prepare/        from any data set to a prepared folder
"""
