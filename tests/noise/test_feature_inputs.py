import keras
import numpy as np
import pytest

from keras_noisy_student.noise.feature_inputs import check_feature_inputs


@pytest.mark.parametrize("batch_shape", [(), (2,), (None,)])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_takes_features_with_and_without_their_length(batch_shape, dtype):
    features = keras.KerasTensor((*batch_shape, None, 8), dtype)
    check_feature_inputs(features)
    check_feature_inputs({"features": features, "length": keras.KerasTensor(batch_shape, "int64"), "speaker": "any"})


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros(5), r"Features must have shape `\(batch, time, frequency\)` or .* Received: .* shape \(5,\)\."),
        (np.zeros((2, 5, 8, 1)), r"Features must have shape .* Received: features of shape \(2, 5, 8, 1\)\."),
        (np.zeros((5, 8), "int16"), r"Features must be float\. Received: features of dtype int16\. .*tf\.cast"),
    ],
)
def test_refuses_wrong_features(features, message):
    for inputs in (features, {"features": features, "length": np.int32(5)}):
        with pytest.raises(ValueError, match=message):
            check_feature_inputs(inputs)


@pytest.mark.parametrize("length", [np.int32(5), np.zeros((2, 1), "int32"), np.zeros(3, "int32"), np.zeros(2)])
def test_refuses_a_length_that_does_not_fit(length):
    message = r"\"length\" must hold one integer per utterance, in a tensor of shape \(2,\)\. Received: length of shape"
    with pytest.raises(ValueError, match=message):
        check_feature_inputs({"features": np.zeros((2, 5, 8)), "length": length})


@pytest.mark.parametrize("names", [["features"], ["length"], ["features", "lengths"], ["x"]])
def test_refuses_a_dict_without_features_and_length(names):
    message = (
        r"must hold \"features\" and their \"length\".* Received: a dict of \[.*\]\. If all frames are valid, pass"
    )
    with pytest.raises(ValueError, match=message):
        check_feature_inputs(dict.fromkeys(names, np.zeros((5, 8))))
