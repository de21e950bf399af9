"""What needs `huggingface_hub`: its mixin around a network, and downloads. See `hub.py`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData, ModelHubMixin, hf_hub_download
from huggingface_hub.utils import EntryNotFoundError

from fafnet_core.data.labels import LabelSet
from fafnet_core.data.normalisation import Normalisation
from fafnet_core.files import written_beside
from fafnet_core.models.fafnet import FAFNet
from fafnet_core.models.hub import CHECKPOINT
from fafnet_core.models.weights import (
    CheckpointMetadata,
    load_checkpoint,
    read_metadata,
    save_checkpoint,
)

CONFIGURATION = "config.json"


class HeldModel(ModelHubMixin):
    """A network and what its checkpoint says, in the hands of `huggingface_hub`.

    Args:
        model: the network.
        label_set: the classes of its outputs.
        normalisation: what its inputs went through.
        notes: free entries, plain JSON values.

    Raises:
        ValueError: the label set has another number of classes than the network.
    """

    # The mixin fills arguments of the same names from config.json: its keys are none of these.
    def __init__(
        self,
        model: FAFNet,
        label_set: LabelSet,
        normalisation: Normalisation | None,
        notes: dict[str, Any] | None,
    ) -> None:
        self.model = model
        self.metadata = CheckpointMetadata(
            model.config, label_set, normalisation or Normalisation(), notes or {}
        )

    def _save_pretrained(self, save_directory: Path) -> None:
        metadata = self.metadata
        save_checkpoint(
            save_directory / CHECKPOINT,
            self.model,
            label_set=metadata.label_set,
            normalisation=metadata.normalisation,
            notes=metadata.notes,
        )
        # For readers and for the Hub's own counts: the checkpoint says all of it again.
        content = json.dumps({"fafnet": json.loads(metadata.to_json())}, indent=2)
        with written_beside(save_directory / CONFIGURATION) as beside:
            beside.write_text(content + "\n", encoding="utf-8")

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        device: str = "cpu",
        **further: Any,
    ) -> HeldModel:
        del further  # Older versions of the library hand over more.
        path = Path(model_id) / CHECKPOINT
        if not Path(model_id).is_dir():
            path = Path(
                hf_hub_download(
                    model_id,
                    CHECKPOINT,
                    revision=revision,
                    cache_dir=cache_dir,
                    force_download=force_download,
                    local_files_only=local_files_only,
                    token=token,
                )
            )
        metadata = read_metadata(path)
        model = load_checkpoint(path, device)
        return cls(model, metadata.label_set, metadata.normalisation, metadata.notes)

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """The README.md of the folder."""
        del args, kwargs
        data = ModelCardData(
            library_name="fafnet_ros",
            pipeline_tag="image-segmentation",
            tags=["fafnet", "rgb-d", "semantic-segmentation"],
        )
        return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{_card(self.model, self.metadata)}")


def download(repo_id: str, revision: str | None, filenames: Sequence[str]) -> str:
    """Download the first of these files that the repository has; return where it is.

    Raises:
        FileNotFoundError: it has none of them.
        OSError: it cannot be reached.
    """
    for filename in filenames:
        try:
            return str(hf_hub_download(repo_id, filename, revision=revision))
        except EntryNotFoundError as error:
            missing = error
        except OSError as error:
            raise OSError(f"hf://{repo_id}: {error}") from error
    raise FileNotFoundError(
        f"no {' or '.join(filenames)} of hf://{repo_id}: {missing}"
    ) from missing


def _card(model: FAFNet, metadata: CheckpointMetadata) -> str:
    config, normalisation, labels = model.config, metadata.normalisation, metadata.label_set
    parameters = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    inputs = {
        "rgb": (normalisation.rgb_mean, normalisation.rgb_deviation),
        "hha": (normalisation.hha_mean, normalisation.hha_deviation),
    }
    return f"""# FAFNet: RGB-D semantic segmentation

A FAFNet (Chen et al., "FAFNet: Fully-Aligned Fusion Network for RGBD Semantic Segmentation based on
Hierarchical Semantic Flows") of {parameters:.1f} million parameters with {config.num_classes}
classes. A checkpoint of the package `fafnet_ros`; nothing in it is a pickle.

## Inputs and outputs

`model(rgb, hha)`: colour first, then HHA (horizontal disparity, height above the ground, angle with
gravity). Both are (B, 3, H, W), divided by 255 and normalised, channels in the order given:

{_table(("input", "mean", "deviation"), *((key, *map(_numbers, v)) for key, v in inputs.items()))}

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


def _table(*rows: Sequence[object]) -> str:
    head, *body = rows
    cells = [head, ["---"] * len(head), *body]
    # A bar inside a cell would end it.
    return "\n".join(
        f"| {' | '.join(str(cell).replace('|', '/') for cell in row)} |" for row in cells
    )


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
