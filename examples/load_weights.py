"""A network trained by unheat as a torch.nn.Module.

    python examples/load_weights.py runs/sip-001/weights.safetensors y.npy x.npy

builds the module from the file, predicts from the observations in y.npy, and compares with x.npy, the output
of

    unheat reconstruct --weights runs/sip-001/weights.safetensors --same-units -i y.npy -o x.npy

(--norm running may be added to both). Needs numpy, torch and safetensors only.
"""

import argparse
import json
import re

import numpy as np
import torch
from safetensors import safe_open
from torch import nn
from torch.nn import functional


ACTIVATIONS = {"relu": nn.ReLU, "silu": nn.SiLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


class Choices:
    """The architecture, besides what the shapes tell."""

    def __init__(self, padding="circular", activation="relu", batch_norm=True, res_blocks=False, **_):
        self.padding = {"circular": "circular", "zero": "zeros"}[padding]
        self.norm = nn.BatchNorm2d if batch_norm else nn.Identity
        self.block = ResBlock if res_blocks else DoubleConv
        self.activation = ACTIVATIONS[activation]


class DoubleConv(nn.Module):
    """Conv, batch norm, activation, conv, batch norm, ReLU."""

    def __init__(self, c_in, c_mid, c_out, choices):
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv2d(c_in, c_mid, 3, padding=1, padding_mode=choices.padding),
            choices.norm(c_mid),
            choices.activation(),
            nn.Conv2d(c_mid, c_out, 3, padding=1, padding_mode=choices.padding),
            choices.norm(c_out),
            nn.ReLU(),
        )

    def forward(self, x):
        return self.double_conv(x)


class ResBlock(nn.Module):
    """activation(norm(conv2(activation(norm(conv1(x)))))) + x.

    Where the number of channels changes, norm(1x1 convolution(x)) takes the place of the last x.
    """

    def __init__(self, c_in, _, c_out, choices):
        super().__init__()
        same = c_in == c_out
        self.sample_input = nn.Identity() if same else nn.Conv2d(c_in, c_out, 1)
        self.bn_sample = nn.Identity() if same else choices.norm(c_out)
        self.bn1 = choices.norm(c_out)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=1, padding_mode=choices.padding)
        self.bn2 = choices.norm(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, padding_mode=choices.padding)
        self.activation = choices.activation()

    def forward(self, x):
        inner = self.activation(self.bn1(self.conv1(x)))
        return self.activation(self.bn2(self.conv2(inner))) + self.bn_sample(self.sample_input(x))


class Block(nn.Module):
    """What the state dict calls down1, up1, …: a double convolution or residual block named `conv`."""

    def __init__(self, c_in, c_mid, c_out, choices):
        super().__init__()
        self.conv = choices.block(c_in, c_mid, c_out, choices)

    def forward(self, x):
        return self.conv(x)


class UNet(nn.Module):
    """One channel in, one out; `filters` from the finest level to the coarsest."""

    def __init__(self, filters, choices):
        super().__init__()
        self.levels = len(filters)
        self.inc = choices.block(1, filters[0], filters[0], choices)
        for i in range(1, self.levels):
            low, skip = filters[self.levels - i], filters[self.levels - i - 1]  # up1 is the deepest
            self.add_module(f"down{i}", Block(filters[i - 1], filters[i], filters[i], choices))
            self.add_module(f"up{i}", Block(low + skip, (low + skip) // 2, skip, choices))
        self.outc = nn.Conv2d(filters[0], 1, 1)

    def forward(self, x):
        skips = [self.inc(x)]
        for i in range(1, self.levels):
            skips.append(getattr(self, f"down{i}")(functional.max_pool2d(skips[-1], 2)))
        x = skips.pop()
        for i in range(1, self.levels):
            x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = getattr(self, f"up{i}")(torch.cat([skips.pop(), x], dim=1))
        return self.outc(x)


def load(path):
    """The module in `path`. Filters, blocks and batch norm are read from names and shapes, the rest from
    unheat's metadata."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        about = json.loads((file.metadata() or {}).get("unheat", "{}"))
    downs = [int(match[1]) for match in map(re.compile(r"down(\d+)\.").match, tensors) if match]
    blocks = ["inc"] + [f"down{i}.conv" for i in range(1, max(downs, default=0) + 1)]
    res_blocks = "inc.conv1.weight" in tensors
    last, norm = ("conv2", "bn1") if res_blocks else ("double_conv.3", "double_conv.1")
    filters = [len(tensors[f"{block}.{last}.weight"]) for block in blocks]
    batch_norm = f"inc.{norm}.weight" in tensors
    module = UNet(filters, Choices(**about, batch_norm=batch_norm, res_blocks=res_blocks))
    module.load_state_dict(tensors)  # strict: every tensor is used, none is missing
    module.trained_for = about.get("trained_for") or {}
    return module


def shown(trained_for, observations):
    """What a network that was trained for this is shown of observations: these, or their Tikhonov inverse
    (docs/method.md, "What the network is shown")."""
    if "tikhonov" not in trained_for:
        return observations
    if "amount" not in trained_for:
        raise SystemExit("the network sees the inverse of another operator than diffusion")
    damping = trained_for["tikhonov"] ** 2
    x, y = np.meshgrid(*[2 * np.pi * np.fft.fftfreq(n) for n in observations.shape[1:]], indexing="ij")
    kernel = np.exp(-trained_for["amount"] * (x**2 + y**2))
    gain = kernel * (1 + damping) / (kernel**2 + damping)
    return np.fft.ifft2(gain * np.fft.fft2(observations.astype(np.float64))).real


@torch.no_grad()
def predict(module, observations):
    """Predictions for observations [count, x, y], each with the mean of its observation."""
    inputs = shown(module.trained_for, observations)
    output = module(torch.from_numpy(inputs.astype(np.float32))[:, None])[:, 0].numpy()
    means = observations.mean(axis=(1, 2), keepdims=True)
    return output + (means - output.mean(axis=(1, 2), keepdims=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", help="a .safetensors file")
    parser.add_argument("observations", help="a .npy file, [count, x, y] or [x, y]")
    parser.add_argument("predictions", help="the .npy file that unheat reconstruct made from it")
    parser.add_argument("--norm", choices=["batch", "running"], default="batch")
    arguments = parser.parse_args()

    module = load(arguments.weights)
    module.train(arguments.norm == "batch")
    fields = [np.load(path) for path in (arguments.observations, arguments.predictions)]
    observations, theirs = [field.reshape(-1, *field.shape[-2:]) for field in fields]
    ours = predict(module, observations)
    error = np.linalg.norm(ours - theirs) / np.linalg.norm(ours)
    print(f"{len(ours)} predictions, relative difference {error:.1e}")
    if not error <= 1e-5:
        raise SystemExit("the predictions differ")


if __name__ == "__main__":
    main()
