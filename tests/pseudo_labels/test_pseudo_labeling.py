import dataclasses
import re

import numpy as np
import pytest

from keras_noisy_student.pseudo_labels.averaging import TeacherAveraging
from keras_noisy_student.pseudo_labels.distribution_alignment import DistributionAlignment
from keras_noisy_student.pseudo_labels.pseudo_labeling import PseudoLabeling
from keras_noisy_student.pseudo_labels.temperature_scaling import TemperatureScaling


def test_by_default_the_whole_pool_is_labelled_softly_and_stored():
    assert PseudoLabeling() == PseudoLabeling("soft", 1.0, 0.0, None, "stored", (), TeacherAveraging())


@pytest.mark.parametrize(
    "values",
    [
        {"confidence_threshold": 0},
        {"confidence_threshold": 0.999},
        {"examples_per_class": 1},
        {"examples_per_class": "auto", "labels": "hard"},
        {"temperature": 0.01},
        {"annotate": "online", "labels": "hard", "confidence_threshold": 0.5},
        {"annotate": "online", "temperature": 2},
        {"corrections": (TemperatureScaling(), DistributionAlignment())},
        {"annotate": "online", "corrections": (TemperatureScaling(),)},
        {"averaging": TeacherAveraging(num_teachers=2)},
    ],
)
def test_takes_every_value_in_range(values):
    rules = PseudoLabeling(**values)
    assert {name: getattr(rules, name) for name in values} == values


def test_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PseudoLabeling().temperature = 2.0


@pytest.mark.parametrize("labels", ["Soft", None, 1])
def test_refuses_other_labels(labels):
    with pytest.raises(ValueError, match=rf'`labels` must be "soft" or "hard"\. Received: labels={labels!r}\.'):
        PseudoLabeling(labels=labels)


@pytest.mark.parametrize("annotate", ["offline", None])
def test_refuses_another_way_to_annotate(annotate):
    message = rf'`annotate` must be "stored", "kept" or "online"\. Received: annotate={annotate!r}\.'
    with pytest.raises(ValueError, match=message):
        PseudoLabeling(annotate=annotate)


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan"), float("inf")])
def test_refuses_a_temperature_that_is_not_positive(temperature):
    message = rf"`temperature` must be positive\. Received: temperature={temperature}\."
    with pytest.raises(ValueError, match=message):
        PseudoLabeling(temperature=temperature)


@pytest.mark.parametrize("threshold", [-0.1, 1, 30, float("nan")])
def test_refuses_a_threshold_out_of_range(threshold):
    message = rf"`confidence_threshold` must be in \[0, 1\)\. Received: confidence_threshold={threshold}\."
    with pytest.raises(ValueError, match=message):
        PseudoLabeling(confidence_threshold=threshold)


@pytest.mark.parametrize("value", [0, -3, 2.0, True, "all", float("inf"), np.array(["auto", "auto"])])
def test_refuses_other_examples_per_class(value):
    message = re.escape(
        f'`examples_per_class` must be a positive integer, "auto" or None. Received: examples_per_class={value!r}.'
    )
    with pytest.raises(ValueError, match=message):
        PseudoLabeling(examples_per_class=value)


def test_refuses_a_temperature_for_hard_labels():
    message = (
        r"`temperature` changes soft labels only: the most likely class stays the same\. Leave it at 1, or use "
        r'labels="soft"\. Received: labels="hard", temperature=2\.0\.'
    )
    with pytest.raises(ValueError, match=message):
        PseudoLabeling(labels="hard", temperature=2.0)


@pytest.mark.parametrize("examples_per_class", ["auto", 5])
def test_refuses_to_balance_classes_online(examples_per_class):
    message = (
        r"Classes can be balanced only over the whole annotated pool, which online annotation never sees\. Use "
        r'annotate="stored" or examples_per_class=None\. Received: annotate="online", '
        rf"examples_per_class={examples_per_class!r}\."
    )
    with pytest.raises(ValueError, match=message):
        PseudoLabeling(annotate="online", examples_per_class=examples_per_class)


@pytest.mark.parametrize("corrections", [TemperatureScaling(), [TemperatureScaling], "temperature", None, {}])
def test_refuses_what_are_no_corrections(corrections):
    message = (
        "`corrections` must be a sequence of Correction, such as [TemperatureScaling()]. Received: "
        f"corrections={corrections!r}."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        PseudoLabeling(corrections=corrections)


def test_refuses_to_align_distributions_online():
    message = (
        r"DistributionAlignment is fitted to the whole annotated pool, which online annotation never sees\. Use "
        r'annotate="stored", or leave it out\. Received: annotate="online", corrections=\(TemperatureScaling\(\), '
        r"DistributionAlignment\(\)\)\."
    )
    with pytest.raises(ValueError, match=message):
        PseudoLabeling(annotate="online", corrections=[TemperatureScaling(), DistributionAlignment()])


@pytest.mark.parametrize("averaging", [None, 2, TeacherAveraging])
def test_refuses_another_averaging(averaging):
    message = (
        "`averaging` must be a TeacherAveraging, such as TeacherAveraging(num_teachers=2). Received: "
        f"averaging={averaging!r}."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        PseudoLabeling(averaging=averaging)
