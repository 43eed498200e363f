"""The weights lambda_1..lambda_N of the unroll steps' losses, from the command line's options."""

import math


def step_weights(num_steps: int, discount: float, weights: str | None) -> tuple[float, ...]:
    """lambda_i = discount^(i-1), or the weights given one by one.

    Args:
        num_steps: N >= 1.
        discount: 0 to 1; 0 leaves only the first step.
        weights: N comma-separated numbers, which win over the discount; None for none.

    Returns:
        N weights, none negative, at least one positive.

    Raises:
        ValueError: a value out of its range, named with its flag.
    """
    if num_steps < 1:
        raise ValueError(
            f"--teaforn-n: the number of unroll steps must be at least 1; received {num_steps}."
            " Use 1 for teacher forcing, 2 or more for TeaForN."
        )
    if weights is not None:
        return _given_weights(num_steps, weights)
    if not 0 <= discount <= 1:
        raise ValueError(f"--teaforn-discount: must lie between 0 and 1; received {discount}.")
    return tuple(discount**step for step in range(num_steps))


def _given_weights(num_steps: int, weights: str) -> tuple[float, ...]:
    try:
        values = tuple(float(weight) for weight in weights.split(","))
    except ValueError:
        raise ValueError(
            "--teaforn-weights: must be comma-separated numbers, as in 1,0.5;"
            f" received {weights!r}."
        ) from None
    if len(values) != num_steps:
        raise ValueError(
            f"--teaforn-weights: needs one weight for each of the --teaforn-n {num_steps} steps;"
            f" received {len(values)}: {weights!r}."
        )
    if not all(math.isfinite(value) and value >= 0 for value in values) or not any(values):
        raise ValueError(
            "--teaforn-weights: must be finite, not negative and not all zero;"
            f" received {weights!r}."
        )
    return values
