"""What `frame_size` means."""

from typing import Any

from keras_noisy_student.argument_checks import is_integer


def height_and_width(frame_size: Any) -> tuple[int, int]:
    """The height and width of frames in pixels.

    Args:
        frame_size: a pair of them, or one integer that stands for both.

    Raises:
        ValueError: for anything else.

    Example:
        >>> height_and_width(48), height_and_width((36, 64))
        ((48, 48), (36, 64))
    """
    pair = (frame_size, frame_size) if is_integer(frame_size, at_least=1) else frame_size
    if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(is_integer(side, at_least=1) for side in pair):
        raise ValueError(
            "`frame_size` must be a positive integer, or a pair of them (height, width). Received: "
            f"frame_size={frame_size!r}."
        )
    return int(pair[0]), int(pair[1])
