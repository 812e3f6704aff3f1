"""Training samples as PyTorch takes them.

Needs torch, and matplotlib to plot; no database and no Dagster.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from astrid_core.training.export import Format, export
from astrid_core.training.files import DatasetFiles
from astrid_core.training.manifest import DatasetHead, Manifest, PlacedSample
from astrid_core.training.samples import IGNORED, IMAGE_PLANES, SIDE_PIX, map_images, map_masks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Transform = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Takes an image (5, s, s) and its mask (s, s), and changes both alike."""


class TrainingItem(TypedDict):
    """One sample.

    ``image`` is (5, s, s) float32, planes as ``IMAGE_PLANES``; ``mask`` (s, s) uint8: 1 real,
    0 not, 255 ignored; ``labels`` and ``metadata`` are those of
    :class:`~astrid_core.training.samples.SampleRecord`.
    """

    image: Tensor
    mask: Tensor
    labels: dict[str, Any]
    metadata: dict[str, Any]


class AstrIDTrainingDataset(Dataset[TrainingItem]):
    """Samples of one split of a dataset, fetched when they are first asked for.

    Parameters
    ----------
    head
        What they are of.
    samples
        Which, in this order.
    files
        Where their pixels are.
    transform
        Of image and mask together; None leaves them as they are.
    """

    def __init__(
        self,
        head: DatasetHead,
        samples: Sequence[PlacedSample],
        files: DatasetFiles,
        transform: Transform | None = None,
    ) -> None:
        self.head = head
        self.samples = tuple(samples)
        self.transform = transform
        self._files = files
        self._maps: dict[int, tuple[Any, Any]] = {}

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> TrainingItem:
        """A sample, its pixels copied out of the file.

        Raises
        ------
        ApiRefusedError, ApiUnavailableError, ObjectCorruptError
            If its file has to be fetched and cannot be.
        """
        sample = self.samples[index]
        image, mask = self._pixels(sample)
        if self.transform is not None:
            image, mask = self.transform(image, mask)
        labels, metadata = dict(sample.record.labels), dict(sample.record.metadata)
        return TrainingItem(image=image, mask=mask, labels=labels, metadata=metadata)

    def __getstate__(self) -> dict[str, Any]:
        """Without open files: each process maps its own."""
        return self.__dict__ | {"_maps": {}}

    def with_transform(self, transform: Transform | None) -> "AstrIDTrainingDataset":
        """The same samples, changed in another way."""
        return AstrIDTrainingDataset(self.head, self.samples, self._files, transform)

    def fetch(self) -> None:
        """Fetch all of its files now, as to work without a network."""
        for number in sorted({sample.shard for sample in self.samples}):
            self._map(number)

    def export(self, path: Path | str, format: Format) -> None:
        """Write its samples to a file, untransformed; see :func:`~.export.export`.

        Raises
        ------
        ApiRefusedError, ApiUnavailableError, ObjectCorruptError
            If a file has to be fetched and cannot be.
        """
        head = replace(self.head, n_samples=len(self))
        export(Manifest(head, self.samples), self._files.lend, Path(path), format)

    def plot(self, index: int) -> "Figure":
        """A figure of a sample: science, reference, difference and mask."""
        from matplotlib.figure import Figure

        sample = self.samples[index]
        image, mask = self._pixels(sample)
        figure = Figure(figsize=(11, 3.2), layout="constrained")
        for number, ax in enumerate(figure.subplots(1, 4)):
            ax.set_axis_off()
            if number == len(_PLOTTED):
                shown = np.ma.masked_equal(mask.numpy(), IGNORED)
                ax.imshow(shown, origin="lower", vmin=0, vmax=1, cmap="Reds")
                ax.set_title("mask (blank: ignored)", fontsize=9)
            else:
                ax.imshow(image[number].numpy(), origin="lower", **_PLOTTED[number])
                ax.set_title(IMAGE_PLANES[number], fontsize=9)
        record = sample.record
        what = record.labels.get("anomaly_type") or ("real" if record.is_real else "bogus")
        snr = record.metadata.get("snr")
        figure.suptitle(
            f"{what}, by {record.label_source}, {record.split}"
            + ("" if snr is None else f", S/N {snr:.1f}"),
            fontsize=10,
        )
        return figure

    def _pixels(self, sample: PlacedSample) -> tuple[Tensor, Tensor]:
        images, masks = self._map(sample.shard)
        # A copy: tensors are written to, and the files are not.
        image, mask = np.array(images[sample.index]), np.array(masks[sample.index])
        return torch.from_numpy(image), torch.from_numpy(mask)

    def _map(self, number: int) -> tuple[Any, Any]:
        if number not in self._maps:
            shard = self.head.shards[number]
            images = map_images(self._files.path(shard.image_sha256), shard.n_samples)
            masks = map_masks(self._files.path(shard.mask_sha256), shard.n_samples)
            self._maps[number] = images, masks
        return self._maps[number]


_PLOTTED: tuple[Mapping[str, Any], ...] = (
    {"cmap": "gray"},
    {"cmap": "gray"},
    {"cmap": "RdBu_r", "vmin": -3, "vmax": 3},
)


def collate(batch: Sequence[TrainingItem]) -> dict[str, Any]:
    """A batch: images (n, 5, s, s) and masks (n, s, s) stacked, labels and metadata as lists."""
    return {
        "image": torch.stack([item["image"] for item in batch]),
        "mask": torch.stack([item["mask"] for item in batch]),
        "labels": [item["labels"] for item in batch],
        "metadata": [item["metadata"] for item in batch],
    }


# --- transforms ---------------------------------------------------------------------------


class RandomSymmetry:
    """One of the eight turns and flips of a square, at random."""

    def __call__(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Turn both alike."""
        n_turns, is_flipped = divmod(int(torch.randint(8, ())), 2)
        image, mask = (torch.rot90(one, n_turns, (-2, -1)) for one in (image, mask))
        if is_flipped:
            image, mask = image.flip(-1), mask.flip(-1)
        return image.contiguous(), mask.contiguous()


@dataclass(frozen=True)
class RandomShift:
    """Crop a window that the source is at most so many pixels off the centre of, at random.

    Attributes
    ----------
    window_pix
        Side of the window.
    max_shift_pix
        0 always crops the middle, as to validate and test.
    """

    window_pix: int = 64
    max_shift_pix: int = 8

    def __post_init__(self) -> None:
        """Make sure that the window stays within the sample.

        Raises
        ------
        ValueError
            If not.
        """
        if not 0 < self.window_pix <= SIDE_PIX - 2 * self.max_shift_pix <= SIDE_PIX:
            raise ValueError(
                f"a window of {self.window_pix} px moved by {self.max_shift_pix} px does not fit "
                f"into {SIDE_PIX} px"
            )

    def __call__(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Crop both alike."""
        middle = (SIDE_PIX - self.window_pix) // 2
        most = self.max_shift_pix
        low, left = (middle + torch.randint(-most, most + 1, (2,))).tolist()
        rows, columns = slice(low, low + self.window_pix), slice(left, left + self.window_pix)
        return image[..., rows, columns].contiguous(), mask[..., rows, columns].contiguous()


@dataclass(frozen=True)
class InTurn:
    """Several transforms, one after the other."""

    transforms: tuple[Transform, ...]

    def __call__(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Apply them."""
        for transform in self.transforms:
            image, mask = transform(image, mask)
        return image, mask
