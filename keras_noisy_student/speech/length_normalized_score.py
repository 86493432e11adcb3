"""`LengthNormalizedScore`: what transcripts are filtered by, a log score that is fair to long and to short ones."""

import dataclasses
from typing import Any

import numpy as np

from keras_noisy_student.argument_checks import POSITIVE, is_number


@dataclasses.dataclass(frozen=True)
class LengthNormalizedScore:
    """How many standard deviations the log score of a transcript is above what is usual for its length.

    A transcript with `l` tokens and the log score `S` has the score `(S - mu * l - beta) / (sigma * sqrt(l))`. The raw
    score would drop long utterances, the score per token short ones.

    Args:
        mu: the usual log score of a token, in nats.
        beta: the usual log score of a transcript without tokens.
        sigma: the usual deviation from that for a transcript of one token, positive.

    Raises:
        ValueError: for a value out of range.

    Example:
        >>> score = LengthNormalizedScore(mu=-0.5, beta=0.0, sigma=0.25)
        >>> score(np.array([-2.0, -1.0]), np.array([4, 4]))
        array([0., 2.])

    Reference:
        Park et al. 2020, Improved Noisy Student Training for automatic speech recognition, arXiv 2005.09629.
    """

    mu: float
    beta: float
    sigma: float

    def __post_init__(self) -> None:
        for name in ("mu", "beta"):
            if not is_number(getattr(self, name)):
                raise ValueError(f"`{name}` must be a finite number. Received: {name}={getattr(self, name)!r}.")
        POSITIVE.check("sigma", self.sigma)

    @classmethod
    def fit(cls, log_scores: np.ndarray, num_tokens: np.ndarray) -> "LengthNormalizedScore":
        """Fits `mu` and `beta` by linear regression, and then `sigma` to what is left.

        Args:
            log_scores: of transcripts of held-out labelled data, in nats, `(transcripts,)`.
            num_tokens: of each of them; empty ones are left out.

        Raises:
            ValueError: for scores that are not finite, and for fewer than three transcripts or all of one length, or
                all on one line, to which nothing can be fitted.

        Example:
            >>> fitted = LengthNormalizedScore.fit(np.array([-1.0, -2.0, -4.0, -6.0]), np.array([1, 2, 3, 4]))
            >>> round(fitted.mu, 3), round(fitted.beta, 3)
            (-1.7, 1.0)
        """
        scores, lengths = np.asarray(log_scores, np.float64), np.asarray(num_tokens)
        if scores.ndim != 1 or scores.shape != lengths.shape:
            raise ValueError(
                "`log_scores` and `num_tokens` must have one number for each transcript. Received: shapes "
                f"{scores.shape} and {lengths.shape}."
            )
        if not np.isfinite(scores).all():
            raise ValueError(
                f"`log_scores` must be finite. Received: {np.flatnonzero(~np.isfinite(scores))[:10].tolist()} are not."
            )
        scores, lengths = scores[lengths > 0], lengths[lengths > 0]
        if len(scores) < 3 or len(np.unique(lengths)) < 2:
            raise ValueError(
                "A line can be fitted only to three transcripts or more, of two lengths or more. Received: "
                f"{len(scores)} transcripts that are not empty, of {len(np.unique(lengths))} lengths. Hold out more "
                "labelled utterances."
            )
        mu, beta = np.polyfit(lengths, scores, deg=1)
        sigma = np.sqrt(np.mean((scores - mu * lengths - beta) ** 2 / lengths))
        if sigma <= 1e-9 * np.abs(scores).max():
            raise ValueError(
                "`log_scores` must spread around what is usual for their length. Received: scores that all lie on one "
                "line. Hold out more labelled utterances."
            )
        return cls(float(mu), float(beta), float(sigma))

    def __call__(self, log_scores: Any, num_tokens: Any) -> Any:
        """The normalised scores of transcripts that are not empty; arrays or tensors of floats alike."""
        return (log_scores - self.mu * num_tokens - self.beta) / (self.sigma * num_tokens**0.5)
