import keras
import numpy as np
import pytest

from keras_noisy_student.callback_state import CallbackStates, append_to_logs, check_callbacks


class Counter(keras.callbacks.Callback):
    """Counts epochs, without saying so to anybody."""

    def __init__(self):
        super().__init__()
        self.best = np.zeros(2)
        self.seen = []
        self.limit = 5


class Continued(Counter):
    def get_state(self):
        return {"seen": self.seen}

    def set_state(self, state):
        self.seen = state["seen"]


def _copied(make, change):
    """A callback that was made anew, with the state of one that was changed."""
    callback, fresh = make(), make()
    states = CallbackStates([callback])
    change(callback)
    CallbackStates([fresh]).set(states.get())
    return fresh


def test_early_stopping_goes_on():
    def change(callback):
        callback.wait, callback.best, callback.best_epoch, callback.stopped_epoch = 2, 0.25, 3, 4
        callback.best_weights = [np.ones(2), np.zeros(1)]

    fresh = _copied(lambda: keras.callbacks.EarlyStopping(min_delta=0.1), change)
    assert (fresh.wait, fresh.best, fresh.best_epoch, fresh.stopped_epoch) == (2, 0.25, 3, 4)
    np.testing.assert_array_equal(fresh.best_weights[0], [1, 1])


def test_a_learning_rate_plateau_goes_on():
    def change(callback):
        callback.wait, callback.best, callback.cooldown_counter = 2, 0.25, 1

    fresh = _copied(keras.callbacks.ReduceLROnPlateau, change)
    assert (fresh.wait, fresh.best, fresh.cooldown_counter) == (2, 0.25, 1)


def test_a_model_checkpoint_goes_on():
    def change(callback):
        callback.best = 0.25

    assert _copied(lambda: keras.callbacks.ModelCheckpoint("x.keras"), change).best == 0.25


def test_what_a_subclass_adds_to_a_known_callback_is_not_lost_silently():
    class Patient(keras.callbacks.EarlyStopping):
        num_signs = 0

    def change(callback):
        callback.wait, callback.num_signs, callback.monitor_op, callback.min_delta = 2, 3, len, -1

    with pytest.raises(ValueError, match=r"The callback Patient cannot go on where it was: its num_signs changed"):
        _copied(Patient, change)


def test_a_csv_log_is_continued():
    callbacks = [keras.callbacks.CSVLogger("x.csv"), Counter()]
    append_to_logs(callbacks)
    assert callbacks[0].append


def test_the_state_that_a_callback_gives_goes_on():
    assert _copied(Continued, lambda callback: callback.seen.append(3)).seen == [3]


def test_states_find_their_callbacks_by_class_and_order():
    def make():
        return [keras.callbacks.EarlyStopping(), Continued(), keras.callbacks.EarlyStopping()]

    first, second = make(), make()
    for place, callback in enumerate(first):
        callback.wait, callback.seen = place, [place]
    states = CallbackStates(first).get()
    CallbackStates([second[1], keras.callbacks.History(), second[0], second[2]]).set(states)
    assert (second[0].wait, second[1].seen, second[2].wait) == (0, [1], 2)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("seen", lambda callback: callback.seen.append(3)),
        ("best", lambda callback: callback.best.__setitem__(0, 1)),
        ("other", lambda callback: setattr(callback, "other", object())),
    ],
)
def test_a_callback_whose_state_could_not_be_kept_is_refused_by_name(name, change):
    message = rf"The callback Counter cannot go on where it was: its {name} changed in training .*`get_state\(\)`"
    with pytest.raises(ValueError, match=message):
        _copied(Counter, change)


def test_a_callback_goes_on_without_its_lost_state_once_it_says_how():
    class Patched(Continued):
        pass

    Patched.__name__ = "Counter"
    callback = Counter()
    states = CallbackStates([callback])
    callback.seen.append(3)
    patched = Patched()
    with pytest.warns(UserWarning, match=r"holds no state of Counter, which could not give any then: it begins anew"):
        CallbackStates([patched]).set(states.get())
    assert patched.seen == []


def test_a_callback_whose_attributes_do_not_change_goes_on():
    def change(callback):
        callback.set_params({"epochs": 3})

    _copied(Counter, change)


@pytest.mark.parametrize(
    "callback",
    [keras.callbacks.History(), keras.callbacks.LambdaCallback(), keras.callbacks.TerminateOnNaN()],
)
def test_callbacks_of_keras_without_a_state_go_on(callback):
    states = CallbackStates([callback])
    callback.something = 1
    CallbackStates([]).set(states.get())


def test_a_callback_that_is_no_longer_there_is_an_error():
    states = CallbackStates([keras.callbacks.EarlyStopping()])
    message = r"`callbacks` must hold those that the round was begun with\. Received: no EarlyStopping, of which"
    with pytest.raises(ValueError, match=message):
        CallbackStates([Counter()]).set(states.get())


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        (keras.callbacks.History(), r"`callbacks` must be a list of Keras callbacks, .* Received: History"),
        (["stop"], r"`callbacks` must hold Keras callbacks\. Received: str"),
        (
            [keras.callbacks.BackupAndRestore("x")],
            r"must not hold BackupAndRestore: the run directory keeps every epoch and continues from it\. Remove it",
        ),
        ([keras.callbacks.SwapEMAWeights()], r"must not hold SwapEMAWeights: with `use_ema=True` the averaged"),
    ],
)
def test_what_is_no_list_of_callbacks_or_does_what_a_run_does_itself_is_refused(callbacks, message):
    with pytest.raises(ValueError, match=message):
        check_callbacks(callbacks)


def test_a_list_of_callbacks_and_none_are_taken():
    for callbacks in (None, [], (keras.callbacks.History(), Counter())):
        check_callbacks(callbacks)
