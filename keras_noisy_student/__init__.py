"""Noisy Student Training (Xie et al. 2019) for Keras 3 on TensorFlow."""

from keras_noisy_student import evaluation, recipes, report, speech, students, video
from keras_noisy_student._version import __version__
from keras_noisy_student.fine_tuning import FineTuning
from keras_noisy_student.history import RoundRecord, RoundsHistory
from keras_noisy_student.length_buckets import LengthBuckets
from keras_noisy_student.noise.compose import Compose
from keras_noisy_student.noise.cutout import Cutout
from keras_noisy_student.noise.feature_masks import FeatureMasks
from keras_noisy_student.noise.image_noise import ImageNoise
from keras_noisy_student.noise.model_noise import LayerNoise, set_model_noise
from keras_noisy_student.noise.noise import Noise
from keras_noisy_student.noise.op_settings import OpSettings
from keras_noisy_student.noise.pad_crop import PadCrop
from keras_noisy_student.noise.per_clip import PerClip
from keras_noisy_student.noise.rand_augment import RandAugment
from keras_noisy_student.noise.random_flip import RandomFlip
from keras_noisy_student.noise.random_resized_crop import RandomResizedCrop
from keras_noisy_student.noise.segment_sampling import SegmentSampling
from keras_noisy_student.noise.spec_augment import SpecAugment
from keras_noisy_student.noise.stochastic_depth import StochasticDepth
from keras_noisy_student.noise.temporal_crop import TemporalCrop
from keras_noisy_student.pipeline import joint_dataset
from keras_noisy_student.promotion import Promotion
from keras_noisy_student.pseudo_labels.averaging import TeacherAveraging
from keras_noisy_student.pseudo_labels.correction import Correction
from keras_noisy_student.pseudo_labels.distribution_alignment import DistributionAlignment
from keras_noisy_student.pseudo_labels.probability_map import ProbabilityMap
from keras_noisy_student.pseudo_labels.pseudo_labeling import PseudoLabeling
from keras_noisy_student.pseudo_labels.temperature_scaling import TemperatureScaling
from keras_noisy_student.pseudo_labels.transcript_labeling import TranscriptLabeling
from keras_noisy_student.round_settings import RoundSettings
from keras_noisy_student.run_data import RunData
from keras_noisy_student.student import NoisyStudent
from keras_noisy_student.tasks.classification import Classification
from keras_noisy_student.tasks.task import Annotation, Task
from keras_noisy_student.tasks.transcription import Transcription
from keras_noisy_student.trainer import NoisyStudentTrainer

__all__ = [
    "Annotation",
    "Classification",
    "Compose",
    "Correction",
    "Cutout",
    "DistributionAlignment",
    "FeatureMasks",
    "FineTuning",
    "ImageNoise",
    "LayerNoise",
    "LengthBuckets",
    "Noise",
    "NoisyStudent",
    "NoisyStudentTrainer",
    "OpSettings",
    "PadCrop",
    "PerClip",
    "ProbabilityMap",
    "Promotion",
    "PseudoLabeling",
    "RandAugment",
    "RandomFlip",
    "RandomResizedCrop",
    "RoundRecord",
    "RoundSettings",
    "RoundsHistory",
    "RunData",
    "SegmentSampling",
    "SpecAugment",
    "StochasticDepth",
    "Task",
    "TeacherAveraging",
    "TemperatureScaling",
    "TemporalCrop",
    "TranscriptLabeling",
    "Transcription",
    "__version__",
    "evaluation",
    "joint_dataset",
    "recipes",
    "report",
    "set_model_noise",
    "speech",
    "students",
    "video",
]
