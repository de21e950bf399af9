"""Networks in folders and repositories of the Hugging Face Hub.

Such a folder holds the checkpoint as `model.safetensors`, what it says of itself as `config.json`,
and a card, `README.md`. Only access to the Hub needs `huggingface_hub`; its variables (`HF_TOKEN`,
`HF_HOME`, `HF_HUB_OFFLINE`) hold here too.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fafnet_core.camera import Size
from fafnet_core.checkpoints.card import model_card
from fafnet_core.checkpoints.checkpoint import load_checkpoint, read_metadata, save_checkpoint
from fafnet_core.checkpoints.download import SCHEME, asking_the_hub, download, hub_library
from fafnet_core.checkpoints.location import CHECKPOINT, named_repository
from fafnet_core.files import written_beside
from fafnet_core.labels import NYU40, LabelSet
from fafnet_core.models.fafnet import FAFNet
from fafnet_core.normalisation import Normalisation

CONFIGURATION = "config.json"
CARD = "README.md"


def save_pretrained(
    model: FAFNet,
    folder: str | Path,
    *,
    label_set: LabelSet = NYU40,
    normalisation: Normalisation | None = None,
    notes: dict[str, Any] | None = None,
    input_size: Size | None = None,
) -> None:
    """Write checkpoint, configuration and card to a folder; an existing card is kept.

    Args:
        model, label_set, normalisation, notes, input_size: as for `save_checkpoint`.
        folder: made where it does not exist.

    Raises:
        ValueError: as for `save_checkpoint`; the folder is then not made.
    """
    folder = Path(folder)
    checkpoint = folder / CHECKPOINT
    save_checkpoint(
        checkpoint,
        model,
        label_set=label_set,
        normalisation=normalisation,
        notes=notes,
        input_size=input_size,
    )
    metadata = read_metadata(checkpoint)
    # For people and other programs: we read the checkpoint only.
    configuration = json.dumps({"fafnet": json.loads(metadata.to_json())}, indent=2)
    with written_beside(folder / CONFIGURATION) as beside:
        beside.write_text(configuration + "\n", encoding="utf-8")
    if not (folder / CARD).exists():
        (folder / CARD).write_text(model_card(model, metadata), encoding="utf-8")


def load_pretrained(source: str | Path, *, device: str = "cpu") -> FAFNet:
    """Load a network from a folder or from the Hub, in evaluation mode.

    Args:
        source: a folder, or a repository as "owner/name" or "hf://owner/name@revision"; a folder
            "owner/name" comes before the repository, "hf://" is never a folder.
        device: where to put it.

    Raises:
        FileNotFoundError: neither a folder nor the name of a repository.
        ValueError: not a checkpoint, or `huggingface_hub` is not installed.
        OSError: no such repository or revision, or it cannot be reached.
    """
    repository = named_repository(source)
    if repository is None:
        if Path(source).is_dir():
            return load_checkpoint(source, device)
        try:
            repository = named_repository(f"{SCHEME}{source}")
        except ValueError:
            repository = None
    if repository is None:
        raise FileNotFoundError(
            f"no folder {source}, and it is not the name of a repository, owner/name;"
            " load_checkpoint reads a file"
        )
    return load_checkpoint(download(*repository, (CHECKPOINT,)), device)


def push_to_hub(
    model: FAFNet,
    repo_id: str,
    *,
    label_set: LabelSet = NYU40,
    normalisation: Normalisation | None = None,
    notes: dict[str, Any] | None = None,
    input_size: Size | None = None,
    private: bool | None = None,
    branch: str | None = None,
) -> str:
    """Upload what `save_pretrained` writes to a repository, which is made if needed.

    An existing card of the repository is kept.

    Args:
        model, label_set, normalisation, notes, input_size: as for `save_checkpoint`.
        repo_id: "owner/name".
        private: of a repository that is made.
        branch: to commit to.

    Returns:
        The address of the commit.

    Raises:
        ValueError: as for `save_pretrained`, or `huggingface_hub` is not installed.
        OSError: the Hub cannot be reached, or refuses.
    """
    library = hub_library()
    with TemporaryDirectory() as folder:
        save_pretrained(
            model,
            folder,
            label_set=label_set,
            normalisation=normalisation,
            notes=notes,
            input_size=input_size,
        )
        with asking_the_hub(repo_id):
            api = library.HfApi()
            # The Hub adds the owner where there is none.
            repo_id = api.create_repo(repo_id=repo_id, private=private, exist_ok=True).repo_id
            has_card = api.file_exists(repo_id, CARD, revision=branch)
            commit = api.upload_folder(
                repo_id=repo_id,
                folder_path=folder,
                commit_message="Add a FAFNet",
                revision=branch,
                ignore_patterns=[CARD] if has_card else None,
            )
    return str(commit)
