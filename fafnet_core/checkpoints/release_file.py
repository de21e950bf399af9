"""Files of the authors' training script.

It writes, with `torch.save`, a dictionary whose `model_state` is the network's state, beside the
state of its optimiser and scheduler, the number of iterations and the best score.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from fafnet_core.checkpoints.torch_file import read_content


@dataclass(frozen=True)
class ReleaseFile:
    """What a file of their training script holds.

    Attributes:
        state: names and tensors of the network.
        iterations: of its training, where the file says so.
    """

    state: dict[str, Tensor]
    iterations: int | None = None


def read_release_file(path: str | Path) -> ReleaseFile:
    """Read a file of `torch.save`, or a safetensors file with the same names; nothing is run.

    The state may be the file's whole content, or be under "model_state".

    Raises:
        FileNotFoundError: no such file.
        ValueError: neither of these files, a damaged one, or one that holds something else.
    """
    content = read_content(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, not a network's state")
    # An OrderedDict of a stranger may carry attributes of its own in place of its methods.
    content = dict(dict.items(content))
    state = content.get("model_state", content)
    if not isinstance(state, dict):
        raise ValueError(f"{path}: its model_state is a {type(state).__name__}, not a state")
    iterations = content.get("cur_itrs")
    return ReleaseFile(dict(dict.items(state)), iterations if isinstance(iterations, int) else None)
