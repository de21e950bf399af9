"""The card of a network: what the Hub shows of it, and a reader of its folder finds first."""

from __future__ import annotations

from collections.abc import Sequence

from fafnet_core.checkpoints.checkpoint import CheckpointMetadata
from fafnet_core.input_size import size_text
from fafnet_core.models.fafnet import FAFNet


def model_card(model: FAFNet, metadata: CheckpointMetadata) -> str:
    """The text of a README.md: how to use the network, its classes and what it is made of."""
    config, normalisation, labels = model.config, metadata.normalisation, metadata.label_set
    parameters = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    inputs = {
        "rgb": (normalisation.rgb_mean, normalisation.rgb_deviation),
        "hha": (normalisation.hha_mean, normalisation.hha_deviation),
    }
    return f"""---
library_name: fafnet_ros
pipeline_tag: image-segmentation
tags:
- fafnet
- rgb-d
- semantic-segmentation
---

# FAFNet: RGB-D semantic segmentation

A FAFNet (Chen et al., "FAFNet: Fully-Aligned Fusion Network for RGBD Semantic Segmentation based on
Hierarchical Semantic Flows") of {parameters:.1f} million parameters with {config.num_classes}
classes. A checkpoint of the package `fafnet_ros`; nothing in it is a pickle.

## Inputs and outputs

`model(rgb, hha)`: colour first, then HHA (horizontal disparity, height above the ground, angle with
gravity). Both are (B, 3, H, W), divided by 255 and normalised, channels in the order given:

{_table(("input", "mean", "deviation"), *((key, *map(_numbers, v)) for key, v in inputs.items()))}

Trained at {_seen_at(metadata)}.

The result is logits, (B, {config.num_classes}, H, W). From colour and metric depth, with HHA and
normalisation done:

```python
from fafnet_core.inference import Segmenter

segmenter = Segmenter.from_checkpoint("this folder, or hf://owner/name")
result = segmenter.segment(rgb, depth_m, camera_matrix)  # .labels, .confidence
```

## Classes: label set `{labels.name}`

Pixels without a class have the id {labels.ignore_index}.

{_table(("id", "name"), *enumerate(labels.names))}

## Configuration

{_table(("key", "value"), *config.to_dict().items())}

## Notes

{_table(("entry", "value"), *metadata.notes.items()) if metadata.notes else "None."}
"""


def _seen_at(metadata: CheckpointMetadata) -> str:
    if metadata.input_size is None:
        return "a size that is not recorded: frames keep their own"
    return f"{size_text(metadata.input_size)} (width x height), which frames are brought to"


def _table(*rows: Sequence[object]) -> str:
    head, *body = rows
    cells = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in cells)


def _cell(value: object) -> str:
    # A bar would end the cell, a line break the row.
    return " ".join(str(value).replace("|", "/").splitlines())


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
