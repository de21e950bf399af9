"""The network as it leaves PyTorch: 8-bit images in, so that whoever runs it normalises nothing."""

from __future__ import annotations

import hashlib
import json

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fafnet_core.camera import Size
from fafnet_core.models import FAFNet
from fafnet_core.normalisation import Normalisation, Stream


class DeployedNetwork(nn.Module):
    """A network with its normalisation in front.

    Args:
        model: the network, in evaluation mode, float32, on the CPU.
        normalisation: what its inputs go through.
    """

    def __init__(self, model: FAFNet, normalisation: Normalisation) -> None:
        super().__init__()
        self.model = model
        self.normalisation = normalisation
        self.rgb = Affine(normalisation, "rgb")
        self.hha = Affine(normalisation, "hha")

    def forward(self, rgb: Tensor, hha: Tensor) -> Tensor:
        """Both (1, H, W, 3) uint8 -> coarse logits (1, C, h, w) float32 of `FAFNet`."""
        return self.model.coarse_logits(self.rgb(rgb), self.hha(hha))

    def fingerprint(self) -> str:
        """Return what is equal for networks that compute the same, and only for them."""
        said = {
            "config": self.model.config.to_dict(),
            "normalisation": self.normalisation.to_dict(),
        }
        digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
        for name, tensor in self.model.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()


class LabellingNetwork(nn.Module):
    """A network with everything that `classify_everywhere` does behind it.

    Args:
        network: gives coarse logits.
    """

    def __init__(self, network: DeployedNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, rgb: Tensor, hha: Tensor) -> tuple[Tensor, Tensor]:
        """Both (1, H, W, 3) uint8 -> labels (1, H, W) uint8 and confidence (1, H, W) float32."""
        logits = F.interpolate(
            self.network(rgb, hha), size=rgb.shape[1:3], mode="bilinear", align_corners=True
        )
        best, labels = logits.max(dim=1)
        # The softmax of the best class.
        confidence = 1 / (logits - best[:, None]).exp().sum(dim=1)
        return labels.to(torch.uint8), confidence


class Affine(nn.Module):
    """`Normalisation.affine` of one stream: an 8-bit image to what a network takes."""

    scale: Tensor
    offset: Tensor

    def __init__(self, normalisation: Normalisation, stream: Stream) -> None:
        super().__init__()
        for name, values in zip(("scale", "offset"), normalisation.affine(stream), strict=True):
            tensor = torch.from_numpy(values).float().view(1, 3, 1, 1)
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """(1, H, W, 3) uint8 -> (1, 3, H, W) float32."""
        return torch.addcmul(self.offset, image.permute(0, 3, 1, 2).float(), self.scale)


def example_images(size: Size) -> tuple[Tensor, Tensor]:
    """Return colour and HHA of a size, as exporters want them: two tensors, not one twice."""
    return torch.zeros(1, *size, 3, dtype=torch.uint8), torch.zeros(1, *size, 3, dtype=torch.uint8)
