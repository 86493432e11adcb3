"""Recipes: published settings, as functions that return this library's own objects.

`imagenet` holds those of the paper, `svhn` those of the script that its authors released.
"""

from keras_noisy_student.recipes import imagenet, svhn
from keras_noisy_student.recipes.rmsprop_with_l2 import RMSpropWithL2
from keras_noisy_student.recipes.warm_up_staircase import WarmUpStaircase

__all__ = ["RMSpropWithL2", "WarmUpStaircase", "imagenet", "svhn"]
