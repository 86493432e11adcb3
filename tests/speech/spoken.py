"""Random transcripts and outputs, and slow, obvious references for what is computed from them."""

import itertools

import numpy as np


def random_sequences(rng, num, *, longest, vocabulary_size):
    return [rng.integers(vocabulary_size, size=rng.integers(longest + 1)).tolist() for _ in range(num)]


def distance(reference, hypothesis):
    """Wagner and Fischer's table, cell by cell."""
    table = np.zeros((len(reference) + 1, len(hypothesis) + 1), int)
    for i, j in np.ndindex(*table.shape):
        if 0 in (i, j):
            table[i, j] = i + j
        else:
            replaced = table[i - 1, j - 1] + (reference[i - 1] != hypothesis[j - 1])
            table[i, j] = min(replaced, table[i - 1, j] + 1, table[i, j - 1] + 1)
    return table[-1, -1]


def collapsed(path, blank):
    """What a path of outputs writes."""
    return tuple(token for token, _ in itertools.groupby(path) if token != blank)


def transcript_probabilities(logits):
    """The probability of every transcript: the sum over all paths `(frames,)` that write it."""
    probabilities = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    num_frames, num_outputs = logits.shape
    found = {}
    for path in itertools.product(range(num_outputs), repeat=num_frames):
        probability = np.prod(probabilities[np.arange(num_frames), list(path)])
        transcript = collapsed(path, num_outputs - 1)
        found[transcript] = found.get(transcript, 0.0) + probability
    return found
