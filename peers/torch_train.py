#!/usr/bin/env python3
"""Trains torch_unet.py's network on given fields, beside `unheat train --weights --data` (BENCHMARKS.md).

    unheat generate --count 6400 --seed 77 --training-step 0 -o x.npy
    python peers/torch_train.py SEED x.npy init.safetensors     # on two threads

Fields are [50·128, 64, 64]. The program writes PyTorch's first weights of SEED to init.safetensors and prints
the mean x loss over steps 40 to 49.
"""

import sys

import numpy as np
import torch
import torch_unet
from safetensors.torch import save_file

STEPS, BATCH, SIDE = 50, 128, 64

if len(sys.argv) != 4 or not sys.argv[1].isdecimal():
    sys.exit("torch_train: say seed, fields and output, as in: torch_train.py 0 x.npy init.safetensors")
seed, fields, init = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.set_num_threads(2)
torch.manual_seed(seed)
net = torch_unet.UNet()
save_file(net.state_dict(), init)
truth = torch.tensor(np.load(fields)).reshape(STEPS, BATCH, SIDE, SIDE)
step = torch_unet.Step(net, torch_unet.Physics(SIDE, SIDE, torch_unet.AMOUNT, "cpu", torch.float32))
optimiser = torch_unet.adam(net)
x_losses = []
for x in truth:
    optimiser.zero_grad()
    loss, x_loss, _, _ = step.losses(x)
    loss.sum().backward()
    optimiser.step()
    x_losses.append(x_loss.mean().item())
print(f"x loss {x_losses[0]:.3f} at first, {np.mean(x_losses[40:]):.2f} over steps 40 to 49")
