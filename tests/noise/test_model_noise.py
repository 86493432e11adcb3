import keras
import numpy as np
import pytest

from keras_noisy_student.noise.model_noise import LayerNoise, set_model_noise
from keras_noisy_student.noise.stochastic_depth import StochasticDepth

# Keras itself, when it saves a model, with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

EFFICIENTNET_BRANCHES = ["2b", "3b", "4b", "4c", "5b", "5c", "6b", "6c", "6d"]
EFFICIENTNET_V2_BRANCHES = ["2b", "3b", "4b", "4c", *(f"5{block}" for block in "bcde"), *(f"6{b}" for b in "bcdefgh")]


def _residual_model(make_branch_noise, num_blocks=4, dropout_rate=0.1):
    inputs = keras.Input((6,))
    features = inputs
    for block in range(num_blocks):
        branch = keras.layers.Dense(6, name=f"dense_{block}")(features)
        features = keras.layers.Add()([features, make_branch_noise(f"branch_{block}")(branch)])
    features = keras.layers.Dropout(dropout_rate, name="head_dropout")(features)
    return keras.Model(inputs, keras.layers.Dense(2, name="head")(features), name="residual")


def _our_branch_noise(name):
    return StochasticDepth(0.9, name=name)


def _changes(layer_noises):
    return [(noise.layer_name, noise.kind, round(noise.new_drop_rate, 6)) for noise in layer_noises]


def _linear_decay_slowly(names, survival_probability):
    changes = []
    for block, name in enumerate(names):
        drop_rate = (block + 1) / len(names) * (1 - survival_probability)
        changes.append((name, "stochastic depth", round(drop_rate, 6)))
    return changes


@pytest.mark.parametrize(
    ("application", "branches"),
    [("EfficientNetB0", EFFICIENTNET_BRANCHES), ("EfficientNetV2B0", EFFICIENTNET_V2_BRANCHES)],
)
def test_sets_every_layer_of_an_efficientnet_in_order_of_depth(application, branches):
    model = getattr(keras.applications, application)(weights=None, input_shape=(32, 32, 3), classes=10)

    layer_noises = set_model_noise(model, dropout_rate=0.5, survival_probability=0.8)

    branch_names = [f"block{branch}_drop" for branch in branches]
    assert _changes(layer_noises) == [("top_dropout", "dropout", 0.5), *_linear_decay_slowly(branch_names, 0.8)]
    for layer_noise in layer_noises:
        assert model.get_layer(layer_noise.layer_name).rate == layer_noise.new_drop_rate
    # Keras' own rates rise with the block, so they tell the order of depth independently of the walk.
    old_drop_rates = [layer_noise.old_drop_rate for layer_noise in layer_noises[1:]]
    assert old_drop_rates == sorted(old_drop_rates)


def test_layers_of_a_functional_model_are_listed_topologically():
    model = keras.applications.EfficientNetB0(weights=None, input_shape=(32, 32, 3), classes=10)
    position = {layer.name: place for place, layer in enumerate(model.layers)}
    for layer in model.layers:
        for node in layer._inbound_nodes:
            assert all(position[parent.operation.name] < position[layer.name] for parent in node.parent_nodes)


def test_flatten_layers_of_keras_still_reverses_nested_layers():
    """When this fails, `_sublayers` may give way to `_flatten_layers`."""
    outer = keras.Sequential([keras.Input((6,)), _residual_model(_our_branch_noise)])
    names = [layer.name for layer in outer._flatten_layers() if isinstance(layer, StochasticDepth)]
    assert names == ["branch_3", "branch_2", "branch_1", "branch_0"]


def test_nested_models_are_walked_in_order_of_depth():
    first, second = (_residual_model(lambda name, i=i: _our_branch_noise(f"{i}_{name}"), 2) for i in ("a", "b"))
    second.name = "second"
    inputs = keras.Input((6,))
    features = keras.layers.Dense(6)(keras.Sequential([keras.Input((6,)), first])(inputs))
    model = keras.Model(inputs, second(features))

    layer_noises = set_model_noise(model, survival_probability=0.6)

    names = ["a_branch_0", "a_branch_1", "b_branch_0", "b_branch_1"]
    assert _changes(layer_noises) == _linear_decay_slowly(names, 0.6)


class _Block(keras.layers.Layer):
    def __init__(self, name):
        super().__init__(name=name)
        self.dense = keras.layers.Dense(6)
        self.branch_noise = _our_branch_noise(f"{name}_noise")

    def call(self, inputs, training=False):
        return inputs + self.branch_noise(self.dense(inputs), training=training)


class _Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.blocks = [_Block(f"block_{i}") for i in range(3)]
        self.shared = self.blocks[0]

    def call(self, inputs, training=False):
        for block in [*self.blocks, self.shared]:
            inputs = block(inputs, training=training)
        return inputs


def test_subclassed_models_are_walked_and_shared_layers_counted_once():
    layer_noises = set_model_noise(_Subclassed(), survival_probability=0.7)
    assert _changes(layer_noises) == _linear_decay_slowly([f"block_{i}_noise" for i in range(3)], 0.7)


class _AttributesBeforeTheGraph(keras.Model):
    def __init__(self):
        inputs = keras.Input((6,))
        self.last, self.first = _our_branch_noise("last"), _our_branch_noise("first")
        super().__init__(inputs, self.last(self.first(inputs)))


def test_the_graph_of_a_functional_model_decides_not_its_attributes():
    assert [noise.layer_name for noise in set_model_noise(_AttributesBeforeTheGraph(), survival_probability=0.5)] == [
        "first",
        "last",
    ]


def test_none_leaves_a_kind_as_it_is():
    model = _residual_model(_our_branch_noise)
    assert set_model_noise(model) == []
    assert {noise.kind for noise in set_model_noise(model, dropout_rate=0.3)} == {"dropout"}
    assert [model.get_layer(f"branch_{i}").survival_probability for i in range(4)] == [0.9] * 4
    assert {noise.kind for noise in set_model_noise(model, survival_probability=0.5)} == {"stochastic depth"}
    assert model.get_layer("head_dropout").rate == 0.3


def test_layer_noise_reads_well():
    model = _residual_model(_our_branch_noise, num_blocks=1)
    (layer_noise,) = set_model_noise(model, survival_probability=0.8)
    assert str(layer_noise) == "branch_0 (stochastic depth): drop rate 0.1 -> 0.2"
    assert str(LayerNoise("top", "dropout", 0.2, 0.5)) == "top (dropout): drop rate 0.2 -> 0.5"


class _DropWatcher(keras.Model):
    """Reports, as its loss, what fraction of its network's outputs was dropped."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def train_step(self, data):
        outputs = self.network(data[0], training=True)
        return {"dropped": keras.ops.mean(keras.ops.cast(outputs == 0, "float32"))}


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_traced_training_step_drops_at_the_new_rate(jit_compile):
    network = keras.Sequential([keras.Input((100,)), keras.layers.Dropout(0.1)])
    set_model_noise(network, dropout_rate=0.7)
    watcher = _DropWatcher(network)
    watcher.compile(jit_compile=jit_compile)
    history = watcher.fit(np.ones((500, 100), "float32"), np.ones(500), batch_size=500, verbose=0).history
    assert history["dropped"][0] == pytest.approx(0.7, abs=0.01)


def test_rates_survive_saving_and_loading(tmp_path):
    model = _residual_model(_our_branch_noise, num_blocks=2)
    inputs = keras.Input((6,))
    branch = keras.layers.Dropout(0.1, noise_shape=(None, 1), name="branch_2")(model(inputs))
    model = keras.Model(inputs, branch)
    set_model_noise(model, dropout_rate=0.5, survival_probability=0.7)
    model.save(tmp_path / "model.keras")

    loaded = keras.models.load_model(tmp_path / "model.keras")

    layer_noises = set_model_noise(loaded, dropout_rate=0.5, survival_probability=0.7)
    assert len(layer_noises) == 4
    for layer_noise in layer_noises:
        assert layer_noise.old_drop_rate == pytest.approx(layer_noise.new_drop_rate)


def test_refuses_a_model_without_dropout():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="plain")
    message = (
        r'`dropout_rate` cannot be set: model "plain" has no dropout layer\. .*: add a keras\.layers\.Dropout to the '
        r"model; pass dropout_rate=None to do without\. Received: dropout_rate=0\.5\."
    )
    with pytest.raises(ValueError, match=message):
        set_model_noise(model, dropout_rate=0.5)


def test_refuses_a_model_without_stochastic_depth_and_leaves_it_unchanged():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.1, name="x")], name="plain")
    message = (
        r'`survival_probability` cannot be set: model "plain" has no stochastic depth layer\. To resolve this, do one '
        r"of the following: put a keras_noisy_student\.StochasticDepth on each residual branch, before the add; "
        r"pass survival_probability=None to do without\. Received: survival_probability=0\.8\."
    )
    with pytest.raises(ValueError, match=message):
        set_model_noise(model, dropout_rate=0.5, survival_probability=0.8)
    assert model.get_layer("x").rate == 0.1


def test_refuses_to_raise_a_dropout_that_was_built_with_a_rate_of_zero():
    model = keras.Sequential([keras.layers.Dropout(0.1), _residual_model(_our_branch_noise, dropout_rate=0.0)])
    message = (
        r'Layer "head_dropout" was built with a rate of 0: Keras gave it no random generator\. '
        r"Build it with one above 0, such as 0\.1\. Received: a new drop rate of 0\.5\."
    )
    with pytest.raises(ValueError, match=message):
        set_model_noise(model, dropout_rate=0.5, survival_probability=0.8)
    unchanged = set_model_noise(model, dropout_rate=0.0, survival_probability=0.9)
    assert [round(noise.old_drop_rate, 6) for noise in unchanged] == [0.1, 0.0, 0.1, 0.1, 0.1, 0.1]


def test_keras_still_gives_a_dropout_of_rate_zero_no_generator():
    """When this fails, `_check_can_drop` may go."""
    assert not hasattr(keras.layers.Dropout(0.0), "seed_generator")


def test_refuses_a_traced_model_until_it_is_compiled_again():
    model = _residual_model(_our_branch_noise)
    set_model_noise(model, survival_probability=0.7)
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 6)), np.ones((4, 2)), verbose=0)
    message = (
        r'The training step of model "residual" is already traced and would ignore the new rates\. '
        r"Call `set_model_noise` before `fit`, or call `compile` again first\."
    )
    with pytest.raises(ValueError, match=message):
        set_model_noise(model, dropout_rate=0.5)
    set_model_noise(model, dropout_rate=0.1, survival_probability=0.7)

    model.compile("sgd", "mse")
    set_model_noise(model, dropout_rate=0.5)

    assert model.get_layer("head_dropout").rate == 0.5


@pytest.mark.parametrize("dropout_rate", [-0.1, 1, 1.5, float("nan")])
def test_refuses_a_dropout_rate_out_of_range(dropout_rate):
    message = rf"`dropout_rate` must be in \[0, 1\)\. Received: dropout_rate={dropout_rate}\."
    with pytest.raises(ValueError, match=message):
        set_model_noise(_residual_model(_our_branch_noise), dropout_rate=dropout_rate)


@pytest.mark.parametrize("survival_probability", [0, -0.1, 1.2, float("nan")])
def test_refuses_a_survival_probability_out_of_range(survival_probability):
    message = rf"`survival_probability` must be in \(0, 1\]\. Received: survival_probability={survival_probability}\."
    with pytest.raises(ValueError, match=message):
        set_model_noise(_residual_model(_our_branch_noise), survival_probability=survival_probability)


def test_refuses_what_is_not_a_model():
    with pytest.raises(ValueError, match=r"`model` must be a keras\.Model\. Received: model=<Dropout name=x.*>\."):
        set_model_noise(keras.layers.Dropout(0.1, name="x"), dropout_rate=0.5)
