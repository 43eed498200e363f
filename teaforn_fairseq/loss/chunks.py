"""Losses of a step and their gradients, made for some tokens at a time and summed.

With z = W h + b the logits of a token, y its label, eps fairseq's label smoothing and
e = eps / (V - 1):

    nll       = log sum_w exp z[w] - z[y]
    loss      = (1 - eps - e) nll + e (V log sum_w exp z[w] - sum_w z[w])
    d loss/dz = softmax(z) - e - (1 - eps - e) [w = y]

and sum_w z[w] = h . sum_w W[w] + sum_w b[w] takes no pass over the logits. All of it is computed in
float32 at least; of half precision are what the matrix products read: h, W and d loss/dz.
n tokens, C features, V vocabulary.
"""

import torch
from torch import Tensor

from teaforn_fairseq.loss.wide_products import MOST_ROUNDED, add_product, is_rounded, product
from teaforn_fairseq.packed.shared_table import Projection

# The least float16 is 6e-8, and most words are less likely than that. d loss/dz is -1 to 1.
SCALES = {torch.float16: 2.0**12}


def rows_at_once(table: Tensor) -> int:
    """Tokens whose logits are there at a time: 32 MB of float32 on a CPU and 256 MB on a GPU, which
    needs more of them for matrix products at full speed.

    Args:
        table: W (V, C).
    """
    rows = max(256, 2 ** (26 if table.is_cuda else 23) // len(table))
    return min(rows, MOST_ROUNDED) if is_rounded(table) else rows


class Chunks:
    """The projection, and the gradients that it has got so far.

    Attributes:
        table_grad: (V, C), at least float32; None where nothing is differentiated.
        bias_grad: (V,), likewise; None without bias as well.
    """

    def __init__(self, projection: Projection, padding_idx: int, eps: float, learns: bool):
        """Start with gradients of 0.

        Args:
            projection: W (V, C) and b (V,) or None, of the type of the matrix products.
            padding_idx: label that does not count.
            eps: fairseq's label smoothing, 0 to 1.
            learns: make gradients.
        """
        self.table, self.bias = projection
        self.padding_idx, self.learns = padding_idx, learns
        self.wrong = eps / (len(self.table) - 1)
        self.right = 1 - eps - self.wrong
        self.scale = SCALES.get(self.table.dtype, 1.0)
        self.wide = torch.promote_types(self.table.dtype, torch.float32)
        self.table_grad, self.bias_grad = (
            torch.zeros_like(x, dtype=self.wide) if learns and x is not None else None
            for x in projection
        )
        self.table_sum = self.table.sum(0, dtype=self.wide)
        self.bias_sum = 0 if self.bias is None else self.bias.sum(dtype=self.wide)

    def add(
        self, features: Tensor, labels: Tensor, weight: float
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Loss of a step; ``weight`` times its gradients are added.

        Args:
            features: (n, C), of the type of the matrix products.
            labels: (n,).
            weight: 0 or more.

        Returns:
            The loss () and the unsmoothed one (), summed over real tokens, in nats, not weighted;
            and ``weight`` times the gradient of the features (n, C), None where nothing is
            differentiated. All are at least float32.
        """
        padding = labels.eq(self.padding_idx).unsqueeze(1)
        # So that padding gives W no gradient.
        features = features.masked_fill(padding, 0)
        grad = torch.zeros_like(features, dtype=self.wide) if self.learns else None
        count = -(-len(labels) // rows_at_once(self.table)) or 1
        parts = [x.chunk(count) for x in (features, labels, features if grad is None else grad)]
        losses = [self._chunk(h, y.unsqueeze(1), weight, g) for h, y, g in zip(*parts, strict=True)]
        loss, nll = torch.cat(losses).masked_fill(padding, 0).sum(0)
        return loss, nll, None if grad is None else grad.masked_fill_(padding, 0)

    def _chunk(self, h: Tensor, y: Tensor, weight: float, h_grad: Tensor) -> Tensor:
        """(n, 2), smoothed and unsmoothed losses; fills ``h_grad`` (n, C), where padding is 0."""
        logits = product(h, self.table.t())
        if self.bias is not None:
            logits += self.bias
        p = torch.softmax(logits, -1)
        # The softmax of a label may be 0; that of the likeliest word is 1 / V or more.
        top, likeliest = (x.amax(-1, keepdim=True) for x in (logits, p))
        total = top - likeliest.log()
        nll = total - logits.gather(1, y)
        del logits
        if self.learns and weight > 0:
            self._differentiate(h, self._slopes(p, y), y, weight, h_grad)
        return torch.cat((self._smoothed(h, total, nll), nll), 1)

    def _smoothed(self, h: Tensor, total: Tensor, nll: Tensor) -> Tensor:
        if not self.wrong:
            return nll
        every = h.to(self.wide) @ self.table_sum.unsqueeze(1) + self.bias_sum
        return self.right * nll + self.wrong * (len(self.table) * total - every)

    def _slopes(self, p: Tensor, y: Tensor) -> Tensor:
        """``scale`` times d loss/dz (n, V)."""
        dtype = self.table.dtype
        own = (p.gather(1, y) - self.wrong - self.right) * self.scale
        slopes = p if dtype == self.wide else torch.empty_like(p, dtype=dtype)
        # On a GPU one pass, which rounds once.
        torch.add(p.new_full((), -self.wrong * self.scale), p, alpha=self.scale, out=slopes)
        return slopes.scatter_(1, y, own.to(dtype))

    def _differentiate(
        self, h: Tensor, slopes: Tensor, y: Tensor, weight: float, h_grad: Tensor
    ) -> None:
        assert self.table_grad is not None
        factor = weight / self.scale
        add_product(h_grad, slopes, self.table, factor)
        add_product(self.table_grad, slopes.t(), h, factor)
        if self.bias_grad is not None:
            real = slopes.masked_fill_(y.eq(self.padding_idx), 0)
            self.bias_grad.add_(real.sum(0, dtype=self.wide), alpha=factor)
