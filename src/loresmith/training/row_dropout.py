"""Dropout (Srivastava et al., 2014) that is drawn for each row, and not for a micro-batch.

torch draws the mask of a whole micro-batch from one stream: cut in another way, the same rows would lose other
activations. Here each row's mask has a generator of its own, seeded by the step, the number of the row and how many
masks the model has drawn before. So the same activations are dropped however a batch is cut into micro-batches and
spread over processes, and the model's own code stays as it is: a mode listens for torch's dropout, the one in its
attention included, and puts this in its place.

Rows that are padded to a longer one keep their masks on the CPU, where a generator's numbers do not depend on how many
are drawn; on a GPU they do, and there the above holds where rows are padded alike.

Legend: B rows of a micro-batch, T positions, S positions attended to, H heads, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from loresmith.errors import Failure
from loresmith.training.randomness import derived_seed

if TYPE_CHECKING:
    from loresmith.training.objective import MicroBatch


def drops_out(model: nn.Module) -> bool:
    """Whether a model in training drops anything out, as its modules or its config say."""
    if any(isinstance(module, nn.Dropout) and module.p > 0 for module in model.modules()):
        return True
    config: Any = getattr(model, "config", None)
    settings = config.get_text_config(decoder=True).to_dict() if config is not None else {}
    return any("drop" in name and isinstance(value, float) and value > 0 for name, value in settings.items())


class RowDropout:
    """A model's dropout while it trains."""

    def __init__(self) -> None:
        self._drawing: _Drawing | None = None

    @contextmanager
    def of(self, micro_batch: MicroBatch, seed: int) -> Iterator[None]:
        """What drops out within the block is drawn for each row of a micro-batch.

        Args:
            seed: of this step, the same for all its micro-batches.
        """
        rows, length = micro_batch.inputs.shape
        place = _Place(seed, micro_batch.first_row, rows, length, max(length, micro_batch.window))
        self._drawing = _Drawing(place)
        try:
            with self._drawing:
                yield
        finally:
            self._drawing = None

    def again(self) -> tuple[AbstractContextManager[None], AbstractContextManager[Any]]:
        """For torch's activation checkpointing: what surrounds a part of the model, and what does when it is computed
        again in the backward pass, maybe by another thread: the same masks."""
        if self._drawing is None:
            return nullcontext(), nullcontext()
        return nullcontext(), _Drawing(self._drawing.place, self._drawing.drawn)


@dataclass(frozen=True)
class _Place:
    """What masks are drawn for: B rows from `first_row` on, padded to T = `length`, `longest` at most."""

    seed: int
    first_row: int
    rows: int
    length: int
    longest: int


class _Drawing(TorchFunctionMode):
    """Replaces torch's dropout; `drawn` counts the masks."""

    def __init__(self, place: _Place, drawn: int = 0) -> None:
        super().__init__()
        self.place = place
        self.drawn = drawn

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is functional.dropout:
            return self._dropout(*args, **kwargs)
        if func is functional.scaled_dot_product_attention:
            return self._attention(*args, **kwargs)
        return func(*args, **kwargs)

    def _dropout(self, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training or p == 0.0:
            return x
        mask = self._mask(x, p)
        return (x.mul_(mask) if inplace else x * mask) * (1 / (1 - p) if p < 1 else 0.0)

    def _attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        """softmax(q k^T scale + mask) with dropout, times v, as torch defines it."""
        if dropout_p == 0.0:
            return functional.scaled_dot_product_attention(
                query, key, value, attn_mask, is_causal=is_causal, scale=scale, enable_gqa=enable_gqa
            )
        if enable_gqa:
            key, value = (x.repeat_interleave(query.shape[-3] // x.shape[-3], dim=-3) for x in (key, value))
        scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
        if is_causal:
            future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
            scores = scores.masked_fill(future, float("-inf"))
        if attn_mask is not None:
            if attn_mask.dtype == torch.bool:
                scores = scores.masked_fill(~attn_mask, float("-inf"))
            else:
                scores = scores + attn_mask
        probabilities = torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
        return self._dropout(probabilities, dropout_p) @ value

    def _mask(self, x: Tensor, p: float) -> Tensor:
        """What is kept, as ones, of x: (B, T, ...), (B, H, T, S), (B H, T, S) or (B T, ...)."""
        place = self.place
        if x.shape[0] == place.rows:
            shape = x.shape[1:]
        elif x.ndim == 3 and x.shape[0] % place.rows == 0 and x.shape[1] == place.length:
            shape = torch.Size((x.shape[0] // place.rows, *x.shape[1:]))
        elif x.shape[0] == place.rows * place.length:
            shape = torch.Size((place.length, *x.shape[1:]))
        else:
            raise Failure(
                f"this model drops out a tensor of shape {tuple(x.shape)}, whose rows cannot be told apart",
                hint="set its dropout to 0",
            )
        drawn = shape
        if len(shape) == 3 and shape[1] == shape[2] == place.length:
            # Numbers are drawn row-major: only the first dimension could grow without moving them.
            drawn = torch.Size((shape[0], place.longest, place.longest))
        masks = []
        for number in range(place.first_row, place.first_row + place.rows):
            generator = torch.Generator(x.device)
            generator.manual_seed(derived_seed(place.seed, "mask", self.drawn, number))
            kept = torch.rand(drawn, generator=generator, device=x.device) >= p
            masks.append(kept[..., : shape[-2], : shape[-1]] if drawn != shape else kept)
        self.drawn += 1
        return torch.stack(masks).view(x.shape).to(x.dtype)
