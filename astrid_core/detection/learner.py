"""One network being taught: its optimizer, its schedule, a step, and all of it as a state."""

from typing import Any

import numpy as np
import torch

from astrid_core.detection.augment import Windows
from astrid_core.detection.loss import realbogus_loss
from astrid_core.detection.network import UNet
from astrid_core.detection.unet import copied_weights

_WARM_UP = 0.1
"""Share of the steps in which the learning rate rises."""


class Learner:
    """AdamW under a one-cycle schedule (Smith & Topin 2018), gradients clipped at norm 1.

    Parameters
    ----------
    steps
        Steps that the schedule is laid out for.
    mixed_precision
        Compute in bfloat16 where that loses nothing that matters: on CUDA only. Weights and
        the loss stay float32.
    """

    def __init__(
        self,
        network: UNet,
        device: torch.device,
        *,
        steps: int,
        learning_rate: float,
        weight_decay: float,
        mixed_precision: bool = False,
    ) -> None:
        self.network = network.move_to(device).train()
        self.device = device
        self._optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=learning_rate, weight_decay=weight_decay
        )
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer, max_lr=learning_rate, total_steps=steps, pct_start=_WARM_UP
        )
        self.is_mixed = mixed_precision and device.type == "cuda"

    def step(self, batch: Windows) -> float:
        """Learn from a batch; returns its loss before the step."""
        loss = self._loss(batch)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self._optimizer.step()
        self._schedule.step()
        return float(loss.item())

    def loss(self, batch: Windows) -> float:
        """Loss of a batch that nothing is learnt from."""
        self.network.eval()
        with torch.inference_mode():
            value = float(self._loss(batch).item())
        self.network.train()
        return value

    def weights(self) -> dict[str, torch.Tensor]:
        """A copy of the network's tensors, on the CPU."""
        return copied_weights(self.network)

    def state(self) -> dict[str, Any]:
        """Everything the next step depends on but the batch: tensors, numbers, text."""
        return {
            "network": self.weights(),
            "optimizer": self._optimizer.state_dict(),
            # Of the schedule, its place; the rest follows from the configuration.
            "schedule": {
                name: value
                for name, value in self._schedule.state_dict().items()
                if isinstance(value, int | float | str | list)
            },
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Be what :meth:`state` was taken of."""
        self.network.load_state_dict(state["network"], strict=True)
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])

    def _loss(self, batch: Windows) -> torch.Tensor:
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=self.is_mixed):
            logits = self.network(_tensor(batch.planes, self.device))[:, 0]
        return realbogus_loss(
            logits.float(), _tensor(batch.labels, self.device), _tensor(batch.sources, self.device)
        )


def _tensor(array: np.ndarray[Any, Any], device: torch.device) -> torch.Tensor:
    return torch.from_numpy(array).to(device)
