import keras
import numpy as np
import pytest

from keras_noisy_student.optimizers import fresh_optimizer, optimizer_for_round

OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(0.02, beta_1=0.8, clipnorm=1.0),
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "schedule": lambda: keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(0.0, 90, warmup_target=4e-3, warmup_steps=10), weight_decay=1e-3
    ),
    "ema": lambda: keras.optimizers.RMSprop(use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=None),
    "accumulation": lambda: keras.optimizers.SGD(0.1, gradient_accumulation_steps=4),
    "loss scale": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.AdamW(0.02), initial_scale=8.0),
}


def _variables():
    return [keras.Variable(np.ones(3), name=name) for name in ("kernel", "bias")]


def _apply_zero_gradients(optimizer, variables):
    """One step in which nothing but weight decay moves a variable."""
    optimizer.apply([np.zeros(3, "float32") for _ in variables], variables)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_keeps_the_class_and_the_whole_configuration(name):
    optimizer = OPTIMIZERS[name]()
    fresh = fresh_optimizer(optimizer)
    assert fresh is not optimizer
    assert type(fresh) is type(optimizer)
    assert fresh.get_config() == optimizer.get_config()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_is_unused_and_leaves_the_given_one_as_it_was(name):
    used = OPTIMIZERS[name]()
    _apply_zero_gradients(used, _variables())
    fresh = fresh_optimizer(used)
    assert not fresh.built
    assert int(fresh.iterations) == 0
    _apply_zero_gradients(fresh, [keras.Variable(np.ones(3), name="kernel") for _ in range(5)])
    assert int(fresh.iterations) == int(used.iterations)


def test_a_schedule_begins_anew():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([2], [1.0, 0.5])
    used = keras.optimizers.SGD(schedule)
    variables = _variables()
    for _ in range(4):
        _apply_zero_gradients(used, variables)
    assert float(used.learning_rate) == 0.5
    assert float(fresh_optimizer(used).learning_rate) == 1.0


def test_a_name_stands_for_the_optimizer_of_keras():
    fresh = fresh_optimizer("adamw")
    assert isinstance(fresh, keras.optimizers.AdamW)
    assert fresh_optimizer("adamw") is not fresh


def _decayed(optimizer):
    """Which of the variables a training step decays."""
    inputs = keras.Input((2,))
    outputs = keras.layers.LayerNormalization(name="norm")(keras.layers.Dense(3, name="dense")(inputs))
    model = keras.Model(inputs, outputs)
    for variable in model.trainable_weights:
        variable.assign(np.ones(variable.shape))
    model.compile(optimizer, loss=lambda y, outputs: 0.0 * outputs, run_eagerly=True)
    model.train_on_batch(np.ones((2, 2)), np.ones((2, 3)))
    return {variable.path for variable in model.trainable_weights if (variable.numpy() < 1).all()}


@pytest.mark.parametrize(
    ("excluded", "decayed"),
    [
        (None, {"dense/kernel", "dense/bias", "norm/gamma", "norm/beta"}),
        (["bias"], {"dense/kernel", "norm/gamma", "norm/beta"}),
        (["bias", "gamma", "beta"], {"dense/kernel"}),
        (["k.r.*l"], {"dense/bias", "norm/gamma", "norm/beta"}),
    ],
)
@pytest.mark.parametrize("is_scaled", [False, True])
def test_exclusions_from_weight_decay_by_name_hold_in_a_training_step(excluded, decayed, is_scaled):
    optimizer = keras.optimizers.AdamW(0.1, weight_decay=0.1)
    if excluded:
        optimizer.exclude_from_weight_decay(var_names=excluded)
    if is_scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=1.0)
    assert _decayed(fresh_optimizer(fresh_optimizer(optimizer))) == decayed


@pytest.mark.parametrize("is_scaled", [False, True])
def test_refuses_exclusions_from_weight_decay_by_variable(is_scaled):
    optimizer = keras.optimizers.AdamW()
    optimizer.exclude_from_weight_decay(var_list=_variables()[1:])
    if is_scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    message = (
        r"`exclude_from_weight_decay\(var_list=\.\.\.\)` names variables of one network, and every round trains "
        r'another\. Use `exclude_from_weight_decay\(var_names=\["bias", \.\.\.\]\)`'
    )
    with pytest.raises(ValueError, match=message):
        fresh_optimizer(optimizer)


@pytest.mark.parametrize(("optimizer", "received"), [(0.1, "float"), (None, "NoneType"), ({"lr": 1}, "dict")])
def test_refuses_what_is_no_optimizer(optimizer, received):
    message = (
        r"`optimizer` must be a keras\.optimizers\.Optimizer, the name of one, or a function of the round index that "
        rf"returns one\. Received: {received}\."
    )
    with pytest.raises(ValueError, match=message):
        fresh_optimizer(optimizer)


def test_an_unknown_name_is_an_error_that_shows_it():
    with pytest.raises(ValueError, match="adamm"):
        fresh_optimizer("adamm")


def test_an_optimizer_that_a_function_makes_is_taken_as_it_is():
    made = keras.optimizers.SGD(0.1)
    assert optimizer_for_round(lambda round_index: made, 1) is made
    assert optimizer_for_round(made, 1) is not made


def test_an_optimizer_that_cannot_be_copied_is_refused():
    class Schedule(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.1

    with pytest.raises(ValueError, match=r"optimizer SGD cannot be copied.*Pass a function that makes one"):
        fresh_optimizer(keras.optimizers.SGD(Schedule()))
