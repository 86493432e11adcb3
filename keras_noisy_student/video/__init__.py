"""Video: clips as data, and networks for them."""

from keras_noisy_student.video.clip_folder import ClipFolder
from keras_noisy_student.video.clip_reader import read_clip
from keras_noisy_student.video.clips_from_folder import clips_from_folder

__all__ = ["ClipFolder", "clips_from_folder", "read_clip"]
