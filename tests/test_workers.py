import re

import pytest
import tensorflow as tf

import keras_noisy_student as kns
from keras_noisy_student import trainer as trainer_module
from keras_noisy_student.workers import Worker, checked_strategy, chief_first, wait_for_all_workers, worker_of


def test_one_process_is_the_chief_and_waits_for_nobody():
    strategy = tf.distribute.get_strategy()
    assert worker_of(strategy) == Worker(index=0, num_workers=1)
    assert worker_of(strategy).is_chief
    assert not Worker(index=1, num_workers=2).is_chief
    wait_for_all_workers(strategy)
    with chief_first(strategy):
        pass
    with pytest.raises(KeyError), chief_first(strategy):
        raise KeyError


def test_the_strategy_is_that_of_the_scope_where_none_is_given():
    assert checked_strategy(None) is tf.distribute.get_strategy()
    one_device = tf.distribute.OneDeviceStrategy("CPU:0")
    with one_device.scope():
        assert checked_strategy(None) is one_device
    assert checked_strategy(one_device) is one_device


@pytest.mark.parametrize("strategy", ["mirrored", tf.distribute.MirroredStrategy, 2])
def test_refuses_what_is_no_strategy(strategy):
    message = (
        r"`strategy` must be a tf\.distribute\.Strategy, such as tf\.distribute\.MirroredStrategy\(\)\. Received: "
        + re.escape(f"strategy={strategy!r}.")
    )
    with pytest.raises(ValueError, match=message):
        checked_strategy(strategy)


def test_refuses_parameter_servers():
    strategy = object.__new__(tf.distribute.ParameterServerStrategy)
    message = (
        r"Keras 3 does not train with parameter servers\. Received: a ParameterServerStrategy\. Use "
        r"tf\.distribute\.MultiWorkerMirroredStrategy\(\)\."
    )
    with pytest.raises(ValueError, match=message):
        checked_strategy(strategy)


def test_several_workers_need_a_directory(monkeypatch):
    monkeypatch.setattr(trainer_module, "worker_of", lambda strategy: Worker(index=1, num_workers=2))
    message = (
        r"`directory` must be given to train with several workers: one that all of them see\. Received: "
        r"directory=None, 2 workers\. Pass a path on a shared file system or in an object store\."
    )
    with pytest.raises(ValueError, match=message):
        kns.NoisyStudentTrainer(lambda round_index: None, kns.Classification(num_classes=2))
