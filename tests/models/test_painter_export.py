"""The render network as the engine gets it."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from models import weights  # noqa: E402
from models.train.render import export  # noqa: E402
from tests.models.painters import feeds, fresh  # noqa: E402


def test_what_is_exported_takes_any_batch_also_in_float16(tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    net, given = fresh(), feeds(2)
    with torch.no_grad():
        sitting = net.sit(given[2])
        wanted = net(*given, sitting).picture.numpy()
    export.export(net, tmp_path)
    names = ["noisy", "t", "guide", "region", "told", "features", "code"]
    told = {n: x.numpy() for n, x in zip(names, [*given, *sitting], strict=True)}
    for path in (tmp_path / weights.PAINTER, tmp_path / "painter_fp16.onnx"):
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        assert all(i.type == "tensor(float)" for i in session.get_inputs() + session.get_outputs())
        whole = session.run(None, told)[0]
        np.testing.assert_allclose(whole, wanted, atol=0.01)
        for row in range(2):
            own = session.run(None, {n: x[row : row + 1] for n, x in told.items()})[0]
            np.testing.assert_allclose(own[0], whole[row], atol=2e-3)


def test_float16_refuses_what_it_cannot_hold(tmp_path):
    onnx = pytest.importorskip("onnx")
    from models.train.render import half

    def network(weight):
        number, shape = onnx.TensorProto.FLOAT, ["batch", 2]
        helper = onnx.helper
        graph = helper.make_graph(
            [
                helper.make_node("Gemm", ["x", "w"], ["m"]),
                helper.make_node("Softmax", ["m"], ["y"]),
            ],
            "net",
            [helper.make_tensor_value_info("x", number, shape)],
            [helper.make_tensor_value_info("y", number, shape)],
            [onnx.numpy_helper.from_array(np.full((2, 2), weight, np.float32), "w")],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])

    made = half.in_half(network(2.0))
    assert [n.op_type for n in made.graph.node] == ["Cast", "Gemm", "Cast", "Softmax"]
    with pytest.raises(ValueError, match="'w' holds 100000, expected at most 65504"):
        half.in_half(network(1e5))
    ending = network(2.0)
    del ending.graph.node[1]
    ending.graph.node[0].output[0] = "y"
    with pytest.raises(ValueError, match="'y' is computed in half, expected float32"):
        half.in_half(ending)


def test_what_is_exported_paints_as_the_network_does(tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    net, given = fresh(), [x[:1] for x in feeds()]
    with torch.no_grad():
        sitting = net.sit(given[2])
        wanted = net(*given, sitting).picture.numpy()
    export.export(net, tmp_path)
    portrait, painter = (
        runtime.InferenceSession(str(tmp_path / name), providers=["CPUExecutionProvider"])
        for name in (weights.PORTRAIT, weights.PAINTER)
    )
    features, code = portrait.run(None, {"portrait": given[2].numpy()})
    names = ["noisy", "t", "guide", "region", "told"]
    told = {n: x.numpy() for n, x in zip(names, given, strict=True)}
    picture, _ = painter.run(None, told | {"features": features, "code": code})
    np.testing.assert_allclose(picture, wanted, atol=0.01)  # weights are kept in half precision
