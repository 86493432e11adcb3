"""Speech: from waveforms to features, from outputs to text, and what is measured on the way."""

from keras_noisy_student.speech.blank_padding import BlankPadding
from keras_noisy_student.speech.ctc_network import ctc_network
from keras_noisy_student.speech.error_rates import CharacterErrorRate, WordErrorRate
from keras_noisy_student.speech.frame_mask import FrameMask
from keras_noisy_student.speech.length_normalized_score import LengthNormalizedScore
from keras_noisy_student.speech.log_mel import LogMel
from keras_noisy_student.speech.ngram_model import NGramModel
from keras_noisy_student.speech.padded_tokens import pad_tokens
from keras_noisy_student.speech.vocabulary import Vocabulary
from keras_noisy_student.speech.waveforms import pad_waveforms, read_wav

__all__ = [
    "BlankPadding",
    "CharacterErrorRate",
    "FrameMask",
    "LengthNormalizedScore",
    "LogMel",
    "NGramModel",
    "Vocabulary",
    "WordErrorRate",
    "ctc_network",
    "pad_tokens",
    "pad_waveforms",
    "read_wav",
]
