#!/usr/bin/env python3
"""Times a training step of SIP as PhiFlow 2.2.0 with PyTorch does it, beside `unheat bench` (BENCHMARKS.md).

    pip install torch==2.5.1 phiflow==2.2.0 numpy==1.23.5 "scipy<1.12" "matplotlib<3.8"
    python peers/phiflow_step.py BATCH STEPS     # on two threads

Grids, FFTs, U-Net and Adam are PhiFlow's own; data, damped inverse and loss are those of docs/method.md. With
a batch of 128 the x loss before training is 185.7, that of the reference system.
"""

import statistics
import sys
import time

import torch
from phi.torch.flow import *

if len(sys.argv) != 3 or not all(a.isdecimal() for a in sys.argv[1:]) or int(sys.argv[2]) < 2:
    sys.exit("phiflow_step: say how many samples and steps (2 or more), as in: phiflow_step.py 128 10")
BATCH, STEPS = int(sys.argv[1]), int(sys.argv[2])
SIDE, AMOUNT = 64, 8.0
torch.set_num_threads(2)
math.set_global_precision(64)
math.seed(0)
net = u_net(1, 1)
optimizer = adam(net, 0.001)


def rectangles():
    heat = CenteredGrid(0, extrapolation.PERIODIC, x=SIDE, y=SIDE)
    size = heat.bounds.size
    samples, axes = batch(b=BATCH), channel(vector="x,y")
    counts = math.to_int32(4 + 7 * math.random_uniform(samples))
    positions = (math.random_uniform(samples, batch(components=10), axes) - 0.5) * size * 0.8 + size * 0.5
    for i in range(10):
        half = math.random_uniform(samples, axes) * 10
        strength = math.random_uniform(samples) * math.to_float(i < counts)
        center = math.maximum(half, math.minimum(positions.components[i], size - half))
        heat = heat + SoftGeometryMask(Box(center - half, center + half)).at(heat) * strength
    return heat


def damped_inverse(residual):
    spectrum = math.fft(residual.values, "x,y")
    noise = math.sqrt(math.sum((residual * 1e-6).values ** 2, "x,y"))
    log_kernel = (2 * PI) ** 2 * AMOUNT * math.sum(math.fftfreq(residual.resolution) ** 2, "vector")
    expected = SIDE * math.exp(-log_kernel)
    signal = 0.5 * math.exp(-0.5 * (abs(spectrum) / expected) ** 2)
    signal = math.where(math.isfinite(signal), signal, 0)
    p = math.divide_no_nan(signal, signal + 0.5 * math.exp(-0.5 * (abs(spectrum) / noise) ** 2))
    action = math.where((p <= 0.5) | (p >= 0.68), 2 * (p - 0.5), 0)
    return residual.with_values(math.real(math.ifft(spectrum * math.exp(log_kernel * action), "x,y")))


def losses(truth, observation):
    with math.precision(32):
        prediction = field.native_call(net, observation)
        prediction = prediction + (field.mean(truth) - field.mean(prediction))
    x = field.stop_gradient(prediction)
    residual = observation - diffuse.fourier(x, AMOUNT, 1)
    target = field.stop_gradient(x + damped_inverse(residual))
    return field.l2_loss(prediction - target), field.l2_loss(truth - x), field.l2_loss(residual)


times = []
for step in range(STEPS):
    start = time.perf_counter()
    truth = rectangles()
    _, x_loss, _ = update_weights(net, optimizer, losses, truth, diffuse.fourier(truth, AMOUNT, 1))
    times.append(1e3 * (time.perf_counter() - start))
    print(f"step {step}: x loss {float(math.mean(x_loss, 'b')):.4f}, {times[-1]:.0f} ms", flush=True)
print(f"median of all steps but the first: {statistics.median(times[1:]):.0f} ms")
