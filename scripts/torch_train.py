#!/usr/bin/env python3
"""Trains the plain PyTorch program torch_unet.py on given fields, beside `unheat train --weights --data` (BENCHMARKS.md).

    python scripts/torch_train.py TORCH_UNET.py SEED FIELDS.npy INIT.safetensors     # on two threads

Fields are [50·128, 64, 64]. Writes PyTorch's first weights of SEED to INIT and prints the mean x loss over steps 40 to 49.
"""
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from safetensors.torch import save_file

if len(sys.argv) != 5 or not sys.argv[2].isdecimal():
    sys.exit("torch_train: say which program, seed, fields and where to: torch_unet.py 0 x.npy init.safetensors")
program, seed, fields, init = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
sys.path.insert(0, str(program.parent))
import torch_unet  # noqa: E402

STEPS, BATCH = 50, 128
torch.set_num_threads(2)
torch.manual_seed(seed)
net = torch_unet.UNet()
save_file(net.state_dict(), init)
truth = torch.tensor(np.load(fields)).reshape(STEPS, BATCH, 64, 64)
options = SimpleNamespace(nd=torch.float32, channels_last=False, mode="sip", device="cpu")
step = torch_unet.Step(options, net, torch_unet.Physics(64, 64, 8.0, "cpu", torch.float32), None)
optimiser = torch.optim.Adam(net.parameters(), 1e-3, (0.9, 0.999), 1e-7)
x_losses = []
for x in truth:
    optimiser.zero_grad()
    loss, x_loss, _, _ = step.losses(x)
    loss.sum().backward()
    optimiser.step()
    x_losses.append(x_loss.mean().item())
print(f"x loss {x_losses[0]:.3f} at first, {np.mean(x_losses[40:]):.2f} over steps 40 to 49")
