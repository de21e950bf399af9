"""Networks on the Hugging Face Hub, or in folders as the Hub has them.

Such a folder holds the checkpoint as `model.safetensors`, what it says of itself as `config.json`,
and a card, `README.md`. `huggingface_hub` is optional: only what reaches for the Hub imports it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fafnet_core.labels import NYU40, LabelSet
from fafnet_core.normalisation import Normalisation

if TYPE_CHECKING:
    from fafnet_core.camera import Size
    from fafnet_core.models.fafnet import FAFNet

CHECKPOINT = "model.safetensors"
"""The checkpoint in a folder or a repository."""

SCHEME = "hf://"
"""What the name of a repository begins with where it must not be taken for a folder."""

# One slash: pathlib makes "hf:/owner/name" of "hf://owner/name".
_IDENTIFIER = re.compile(
    r"(?:hf://?|hf[-_]hub:)(?P<repo_id>[^/@\s]+/[^/@\s]+)(?:@(?P<revision>\S+))?"
)
_REPOSITORY = re.compile(r"[^/@\s]+/[^/@\s]+")
_ANY_SCHEME = re.compile(r"hf:/|hf[-_]hub:")


class HubMixin:
    """`from_pretrained`, `save_pretrained` and `push_to_hub` of a FAFNet.

    The work is done by `huggingface_hub`'s own mixin on an object that holds the network: the
    network itself need not inherit from a library that may be absent.
    """

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        device: str = "cpu",
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
    ) -> FAFNet:
        """Load a network from a folder or from the Hub, in evaluation mode.

        Args:
            source: a folder, or a repository as "owner/name" or "hf://owner/name"; a folder
                "owner/name" comes before the repository, "hf://" is never a folder.
            device: where to put it.
            revision: branch, tag or commit of the repository.
            token: as `huggingface_hub` takes it.
            cache_dir: where downloads are kept; the library's own place where None.
            force_download: download again what is kept.
            local_files_only: use what is kept, and no network.

        Raises:
            ValueError: `huggingface_hub` is not installed, it is not a checkpoint, or the device
                cannot be used.
            OSError: no such folder, repository or revision, or it cannot be reached.
        """
        model_id, in_name = str(source), None
        if repository := named_repository(source):
            model_id, in_name = f"{SCHEME}{repository[0]}", repository[1]
        elif not Path(source).is_dir() and not _REPOSITORY.fullmatch(model_id):
            raise FileNotFoundError(
                f"no folder {model_id}, and it is no repository's name, owner/name; load_checkpoint"
                " reads a file"
            )
        # Not the mixin's own from_pretrained: that one reads config.json first, and depends on it.
        held = _library().HeldModel._from_pretrained(
            model_id=model_id,
            revision=revision or in_name,
            token=token,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
            device=device,
        )
        model: FAFNet = held.model
        return model

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        label_set: LabelSet = NYU40,
        normalisation: Normalisation | None = None,
        notes: dict[str, Any] | None = None,
        input_size: Size | None = None,
    ) -> None:
        """Write checkpoint, configuration and card to a folder; a card that is there stays.

        Args:
            folder: made where it does not exist.
            label_set: the classes of the outputs.
            normalisation: what the inputs went through in training.
            notes: free entries, plain JSON values.
            input_size: as for `save_checkpoint`.

        Raises:
            ValueError: `huggingface_hub` is not installed, the label set has another number of
                classes, or the network does not take images of the input size.
        """
        held = _library().HeldModel(self, label_set, normalisation, notes, input_size)
        held.check()
        held.save_pretrained(folder)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        label_set: LabelSet = NYU40,
        normalisation: Normalisation | None = None,
        notes: dict[str, Any] | None = None,
        input_size: Size | None = None,
        private: bool | None = None,
        token: str | None = None,
        branch: str | None = None,
        create_pr: bool | None = None,
        commit_message: str = "Add a FAFNet",
    ) -> str:
        """Upload what `save_pretrained` writes to a repository, which is made if need be.

        A card that the repository has stays.

        Args:
            repo_id: "owner/name".
            label_set: as for `save_pretrained`.
            normalisation: as for `save_pretrained`.
            notes: as for `save_pretrained`.
            input_size: as for `save_pretrained`.
            private: of a repository that is made.
            token: as `huggingface_hub` takes it.
            branch: to commit to.
            create_pr: open a pull request instead.
            commit_message: of the commit.

        Returns:
            The address of the commit.

        Raises:
            ValueError: as for `save_pretrained`.
            OSError: the Hub cannot be reached, or refuses.
        """
        held = _library().HeldModel(self, label_set, normalisation, notes, input_size)
        held.check()
        address: str = held.push_to_hub(
            repo_id,
            private=private,
            token=token,
            branch=branch,
            create_pr=create_pr,
            commit_message=commit_message,
        )
        return str(address)


def resolve(source: str | Path, filenames: Sequence[str] = (CHECKPOINT,)) -> Path:
    """Where a file is that is named by itself, by its folder, or by a repository of the Hub.

    Args:
        source: a file, a folder, or "hf://owner/name", with "@revision" behind it for another
            revision than the repository's main one ("hf-hub:owner/name" is the same).
        filenames: what to look for in a folder or a repository; the first that is there counts.

    Returns:
        The file; of a repository, the downloaded copy. A path that does not exist comes back as it
        is: its reader knows what it wanted.

    Raises:
        FileNotFoundError: the folder or the repository has none of these files.
        ValueError: not a repository's name, or `huggingface_hub` is not installed.
        OSError: the Hub cannot be reached.
    """
    repository = named_repository(source)
    if repository is not None:
        return Path(_library().download(*repository, filenames))
    path = Path(source)
    if not path.is_dir():
        return path
    for filename in filenames:
        if (path / filename).is_file():
            return path / filename
    raise FileNotFoundError(f"no {' or '.join(filenames)} in the folder {path}")


def named_repository(source: str | Path) -> tuple[str, str | None] | None:
    """Identifier and revision of what is "hf://owner/name@revision"; None for anything else.

    Raises:
        ValueError: it begins so, and names no repository.
    """
    text = str(source)
    if not _ANY_SCHEME.match(text):
        return None
    found = _IDENTIFIER.fullmatch(text)
    if found is None:
        raise ValueError(f"'{text}' names no repository of the Hub; write hf://owner/name")
    return found["repo_id"], found["revision"]


def _library() -> Any:
    try:
        from fafnet_core.checkpoints import hub_library
    except ImportError as error:
        raise ValueError(
            f"this needs the library huggingface_hub ({error}): pip install huggingface_hub;"
            " load_checkpoint reads a folder or a file without it"
        ) from error
    return hub_library
