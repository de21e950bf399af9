"""What needs `huggingface_hub`: its mixin around a network, and downloads. See `hub.py`."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi, ModelCard, ModelCardData, ModelHubMixin, hf_hub_download
from huggingface_hub.utils import EntryNotFoundError, LocalEntryNotFoundError

from fafnet_core.camera import Size
from fafnet_core.checkpoints.checkpoint import (
    CheckpointMetadata,
    load_checkpoint,
    read_metadata,
    save_checkpoint,
    storable_tensors,
)
from fafnet_core.checkpoints.hub import CHECKPOINT, SCHEME
from fafnet_core.files import written_beside
from fafnet_core.input_size import check_input_size, size_text
from fafnet_core.labels import LabelSet
from fafnet_core.models.fafnet import FAFNet
from fafnet_core.normalisation import Normalisation

CONFIGURATION = "config.json"
CARD = "README.md"


class HeldModel(ModelHubMixin):
    """A network and what its checkpoint says, in the hands of `huggingface_hub`.

    Args:
        model: the network.
        label_set: the classes of its outputs.
        normalisation: what its inputs went through.
        notes: free entries, plain JSON values.
        input_size: (height, width) that frames are brought to, or None.

    Raises:
        ValueError: the label set has another number of classes than the network, or the network
            does not take images of the input size.
    """

    # The mixin fills arguments of the same names from config.json: its keys are none of these.
    def __init__(
        self,
        model: FAFNet,
        label_set: LabelSet,
        normalisation: Normalisation | None,
        notes: dict[str, Any] | None,
        input_size: Size | None,
    ) -> None:
        self.model = model
        input_size = check_input_size(model.config, input_size, divisor=model.input_divisor)
        self.metadata = CheckpointMetadata(
            model.config, label_set, normalisation or Normalisation(), notes or {}, input_size
        )

    def check(self) -> None:
        """Refuse now what `save_checkpoint` would refuse, before a folder or a repository is made.

        Raises:
            ValueError: as `save_checkpoint`.
        """
        self.metadata.to_json()
        storable_tensors(self.model)

    def _save_pretrained(self, save_directory: Path) -> None:
        metadata = self.metadata
        save_checkpoint(
            save_directory / CHECKPOINT,
            self.model,
            label_set=metadata.label_set,
            normalisation=metadata.normalisation,
            notes=metadata.notes,
            input_size=metadata.input_size,
        )
        # For people and other programs: the checkpoint says all of it again.
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
        _check_device(device)
        repo_id = model_id.removeprefix(SCHEME)
        path = Path(model_id) / CHECKPOINT
        if repo_id != model_id or not Path(model_id).is_dir():
            path = Path(
                download(
                    repo_id,
                    revision,
                    (CHECKPOINT,),
                    cache_dir=cache_dir,
                    force_download=force_download,
                    local_files_only=local_files_only,
                    token=token,
                )
            )
        metadata = read_metadata(path)
        model = load_checkpoint(path, device)
        return cls(
            model,
            metadata.label_set,
            metadata.normalisation,
            metadata.notes,
            metadata.input_size,
        )

    def push_to_hub(self, repo_id: str, **told: Any) -> str:
        """Upload to a repository, which is made if need be; its card stays if it has one.

        Args:
            repo_id: "owner/name".
            told: as the mixin takes it.

        Raises:
            OSError: the Hub cannot be reached, or refuses.
        """
        with _asking(repo_id):
            api = HfApi(token=told["token"])
            made = api.create_repo(repo_id=repo_id, private=told["private"], exist_ok=True)
            has_card = api.file_exists(made.repo_id, CARD, revision=told["branch"])
            kept = [CARD] if has_card else None
            return str(super().push_to_hub(made.repo_id, ignore_patterns=kept, **told))

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """The README.md of the folder."""
        del args, kwargs
        data = ModelCardData(
            library_name="fafnet_ros",
            pipeline_tag="image-segmentation",
            tags=["fafnet", "rgb-d", "semantic-segmentation"],
        )
        return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{_card(self.model, self.metadata)}")


def download(
    repo_id: str,
    revision: str | None,
    filenames: Sequence[str],
    *,
    local_files_only: bool = False,
    **further: Any,
) -> str:
    """Download the first of these files that the repository has; return where it is.

    Args:
        repo_id: "owner/name".
        revision: branch, tag or commit; None, the main one.
        filenames: what to look for.
        local_files_only: use what is kept, and no network.
        further: as `hf_hub_download` takes it.

    Raises:
        FileNotFoundError: it has none of them.
        OSError: it cannot be reached.
    """
    for filename in filenames:
        try:
            with _asking(repo_id):
                return str(
                    hf_hub_download(
                        repo_id,
                        filename,
                        revision=revision,
                        local_files_only=local_files_only,
                        **further,
                    )
                )
        except EntryNotFoundError as error:
            missing = error
    if isinstance(missing, LocalEntryNotFoundError):
        reached = "" if local_files_only else "cannot be reached, and "
        raise OSError(f"{SCHEME}{repo_id} {reached}is not kept here") from missing
    raise FileNotFoundError(
        f"no {' or '.join(filenames)} of {SCHEME}{repo_id}: {_one_line(missing)}"
    ) from missing


@contextmanager
def _asking(repo_id: str) -> Iterator[None]:
    """Ask the Hub for something: retries are not logged, and failures are OSErrors of one line."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(max(level, logging.ERROR))
    try:
        yield
    except (EntryNotFoundError, TypeError, ValueError):
        raise
    except Exception as error:
        # Those of the connection come from the library below, whose name differs by version.
        raise OSError(f"{SCHEME}{repo_id}: {_one_line(error)}") from error
    finally:
        logger.setLevel(level)


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"device '{device}' cannot be used here; use cpu, cuda or cuda:0 ({reason})"
        ) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


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
