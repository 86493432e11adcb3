"""Video: clips as data, and networks for them."""

from keras_noisy_student.video.attention_network import attention_network
from keras_noisy_student.video.attention_weights import attention_weights
from keras_noisy_student.video.clip_folder import ClipFolder
from keras_noisy_student.video.clip_reader import read_clip
from keras_noisy_student.video.clips_from_folder import clips_from_folder
from keras_noisy_student.video.frame_encoder import frame_encoder
from keras_noisy_student.video.per_frame import PerFrame
from keras_noisy_student.video.stacked_grayscale import StackedGrayscale
from keras_noisy_student.video.temporal_attention_pooling import TemporalAttentionPooling
from keras_noisy_student.video.temporal_views import temporal_views

__all__ = [
    "ClipFolder",
    "PerFrame",
    "StackedGrayscale",
    "TemporalAttentionPooling",
    "attention_network",
    "attention_weights",
    "clips_from_folder",
    "frame_encoder",
    "read_clip",
    "temporal_views",
]
