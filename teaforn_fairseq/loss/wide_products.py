"""Matrix products of half precision whose sums are not rounded to it."""

import torch
from torch import Tensor

# What PyTorch before 2.8 lacks: a product of half precision that comes in float32 on a GPU.
HAS_WIDE = "dtype" in torch.ops.aten.mm.overloads() and torch.version.cuda is not None
SHRINK = 2.0**-8
# Terms of a sum that float16 holds then, though all that go to a frequent word have one sign.
MOST_ROUNDED = 1024


def is_rounded(x: Tensor) -> bool:
    """Whether products of such tensors come in half precision."""
    return x.is_cuda and x.element_size() < 4 and not HAS_WIDE


def product(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b``, at least float32.

    Args:
        a: (m, k).
        b: (k, n), of the same type.

    Returns:
        (m, n).
    """
    wide = torch.promote_types(a.dtype, torch.float32)
    if a.dtype == wide or not a.is_cuda:
        return a.to(wide) @ b.to(wide)
    return rounded_product(a, b) if is_rounded(a) else torch.mm(a, b, out_dtype=wide)


def rounded_product(a: Tensor, b: Tensor) -> Tensor:
    """The same by a product that comes in half precision, shrunk so that float16 holds it."""
    return (a @ (b * SHRINK)).float().div_(SHRINK)


def add_product(total: Tensor, a: Tensor, b: Tensor, factor: float) -> None:
    """``total += factor * (a @ b)``.

    Args:
        total: (m, n), at least float32.
        a: (m, k).
        b: (k, n), of the same type as a.
        factor: multiplies the product.
    """
    if a.dtype == total.dtype:
        total.addmm_(a, b, alpha=factor)
    else:
        total.add_(product(a, b), alpha=factor)
