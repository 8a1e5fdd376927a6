#!/usr/bin/env python3
"""unheat's training step in plain PyTorch: the same U-Net, physics, data and Adam, timed step by step.

    pip install torch==2.5.1 numpy safetensors
    python peers/torch_unet.py --device cpu --threads 2 --physics f32 --batch 128
    python peers/torch_unet.py --device cuda --physics f32 --steps 100 --net-dtype tf32 --channels-last
    python peers/torch_unet.py --check tests/golden  # compares with the reference system, times nothing

Tensors of the network have the names of docs/method.md, section 8. --physics f64 computes the residual in
real space, as the reference system does (section 3); --physics f32 takes the Fourier form (section 3b). The
result is the median of the steps after the warm-up, each of which waits for the device.
"""

import argparse
import json
import math
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

AMOUNT = 8.0
UNCERTAINTY = 9.9999999747524271e-07  # 1e-6 in 32 bits, as the reference system has it
RECTANGLES = 10


class DoubleConv(nn.Module):
    def __init__(self, c_in, c_mid, c_out):
        super().__init__()

        def conv(c_in, c_out):
            return nn.Conv2d(c_in, c_out, 3, padding=1, padding_mode="circular")

        self.double_conv = nn.Sequential(
            conv(c_in, c_mid),
            nn.BatchNorm2d(c_mid),
            nn.ReLU(),
            conv(c_mid, c_out),
            nn.BatchNorm2d(c_out),
            nn.ReLU(),
        )

    def forward(self, x):
        return self.double_conv(x)


class Down(nn.Module):
    def __init__(self, c_in, c_out):
        super().__init__()
        self.conv = DoubleConv(c_in, c_out, c_out)

    def forward(self, x):
        return self.conv(F.max_pool2d(x, 2))


class Up(nn.Module):
    def __init__(self, c_in, c_out):
        super().__init__()
        self.conv = DoubleConv(c_in, c_in // 2, c_out)

    def forward(self, x, skip):
        upsampled = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return self.conv(torch.cat([skip, upsampled], 1))


class UNet(nn.Module):
    """[batch, 1, x, y] to the same. Modules draw their weights in the order of the reference system."""

    def __init__(self, width=16):
        super().__init__()
        self.inc = DoubleConv(1, width, width)
        self.down1 = Down(width, width)
        self.up1 = Up(2 * width, width)
        self.down2 = Down(width, width)
        self.up2 = Up(2 * width, width)
        self.down3 = Down(width, width)
        self.up3 = Up(2 * width, width)
        self.outc = nn.Conv2d(width, 1, 1)

    def forward(self, x):
        a = self.inc(x)
        b = self.down1(a)
        c = self.down2(b)
        d = self.down3(c)
        x = self.up1(d, c)  # up1 is the deepest one
        x = self.up2(x, b)
        x = self.up3(x, a)
        return self.outc(x)


class Physics:
    """Diffusion and its damped inverse on half spectra, in the precision `dtype`."""

    def __init__(self, nx, ny, amount, device, dtype):
        fx = torch.fft.fftfreq(nx, dtype=torch.float64)
        fy = torch.fft.rfftfreq(ny, dtype=torch.float64)
        log_kernel = (2 * math.pi) ** 2 * amount * (fx[:, None] ** 2 + fy[None] ** 2)
        weights = torch.full((ny // 2 + 1,), 2.0, dtype=torch.float64)  # of columns in Parseval's sum
        weights[0] = 1.0
        if ny % 2 == 0:
            weights[-1] = 1.0
        self.nx, self.ny, self.dtype = nx, ny, dtype
        self.log_kernel = log_kernel.to(device, dtype)
        self.kernel = torch.exp(-log_kernel).to(device, dtype)
        self.weights = weights.to(device, dtype)
        self.expected = (nx * torch.exp(-log_kernel)).to(device, dtype)

    def diffuse(self, x):
        return torch.fft.irfft2(torch.fft.rfft2(x) * self.kernel, s=(self.nx, self.ny))

    def damped_inverse(self, residual):
        """dx of a residual, as section 3 has it."""
        sigma = UNCERTAINTY * torch.sqrt((residual * residual).sum((-2, -1), keepdim=True))
        spectrum = torch.fft.rfft2(residual)
        amplitude = spectrum.abs()
        signal = torch.exp(-0.5 * (amplitude / self.expected) ** 2) * 0.5
        signal = torch.where(torch.isfinite(signal), signal, 0.0)
        noise = torch.exp(-0.5 * (amplitude / sigma) ** 2) * 0.5
        total = signal + noise
        p = torch.where(total == 0, 0.0, signal / torch.where(total == 0, 1.0, total))
        return torch.fft.irfft2(spectrum * torch.exp(self.log_kernel * action(p)), s=(self.nx, self.ny))

    def update(self, error):
        """dx and the y loss of an error x* - x, as section 3b has them."""
        spectrum = torch.fft.rfft2(error)
        energy = spectrum.real**2 + spectrum.imag**2
        residual = energy * (self.kernel * self.kernel)
        norm2 = (residual * self.weights).sum((-2, -1), keepdim=True) / (self.nx * self.ny)
        z_signal = energy * (0.5 / self.nx**2)
        z_noise = (0.5 * residual) / (UNCERTAINTY**2 * norm2)
        p = torch.sigmoid(z_noise - z_signal)
        p = torch.where(z_signal > 745.13, 0.0, p)
        dx = torch.fft.irfft2(spectrum * torch.exp(self.log_kernel * (action(p) - 1)), s=(self.nx, self.ny))
        return dx, 0.5 * norm2[..., 0, 0]


def action(p):
    return torch.where((p <= 0.5) | (p >= 0.68), 2 * (p - 0.5), 0.0)


def draw(batch, nx, ny, device, dtype):
    """Random fields x*, [batch, nx, ny]."""

    def uniform(*shape):
        return torch.rand(*shape, device=device, dtype=dtype)

    size = torch.tensor([nx, ny], device=device, dtype=dtype)
    count = (4 + 7 * uniform(batch)).to(torch.int32)
    position = (uniform(batch, RECTANGLES, 2) - 0.5) * (0.8 * size) + 0.5 * size
    half = uniform(batch, RECTANGLES, 2) * 10
    strength = uniform(batch, RECTANGLES) * (torch.arange(RECTANGLES, device=device)[None] < count[:, None])
    return rasterise(torch.maximum(half, torch.minimum(position, size - half)), half, strength, nx, ny)


def rasterise(center, half, strength, nx, ny):
    batch, rectangles = strength.shape

    def profile(axis, n):
        cells = torch.arange(n, device=center.device, dtype=center.dtype) + 0.5
        distance = (cells - center[..., axis : axis + 1]).abs() - half[..., axis : axis + 1]
        return (0.5 - distance * math.sqrt(2.0)).clamp(0, 1)

    masks = torch.minimum(profile(0, nx)[..., :, None], profile(1, ny)[..., None, :])
    return torch.bmm(strength[:, None], masks.reshape(batch, rectangles, nx * ny)).reshape(batch, nx, ny)


class Step:
    """From fields x* to losses. `method` is sip or gd, `autocast` a narrower type for the network or None."""

    def __init__(self, net, physics, method="sip", channels_last=False, autocast=None):
        self.net, self.physics, self.method = net, physics, method
        self.channels_last, self.autocast = channels_last, autocast
        self.net_dtype = next(net.parameters()).dtype

    def output(self, observation):
        x = observation.to(self.net_dtype)[:, None]
        if self.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        if self.autocast is not None:
            with torch.autocast(x.device.type, dtype=self.autocast):
                return self.net(x)[:, 0].float()
        return self.net(x)[:, 0]

    def losses(self, truth):
        """Loss, x loss, y loss and prediction of every sample."""
        physics = self.physics
        wide = physics.dtype == torch.float64
        observation = physics.diffuse(truth)
        output = self.output(observation)
        shift = truth.mean((1, 2), keepdim=True).to(output.dtype) - output.mean((1, 2), keepdim=True)
        prediction = output + shift
        x = prediction.detach().to(physics.dtype)
        if self.method == "sip":
            if wide:
                residual = observation - physics.diffuse(x)
                dx, y_loss = physics.damped_inverse(residual), half_energy(residual)
            else:
                dx, y_loss = physics.update(truth - x)
            loss = half_energy(prediction.to(physics.dtype) - (x + dx))
        else:
            if wide:
                misfit = physics.diffuse(prediction.to(physics.dtype)) - observation
            else:
                misfit = physics.diffuse(prediction - truth)
            loss = half_energy(misfit)
            y_loss = loss.detach()
        return loss, half_energy(truth - x), y_loss, prediction


def half_energy(field):
    return 0.5 * (field * field).sum((1, 2))


def adam(net, **options):
    return torch.optim.Adam(net.parameters(), 1e-3, (0.9, 0.999), 1e-7, **options)


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--device", default="cpu", help="cpu or cuda")
    add("--threads", type=int, default=0, help="CPU threads [default: PyTorch's choice]")
    add("--mode", default="sip", choices=["sip", "gd"], help="training signal")
    add("--physics", default="f64", choices=["f64", "f32"], help="precision of the physics")
    add(
        "--net-dtype",
        default="fp32",
        choices=["fp32", "tf32", "bf16", "fp16", "fp64"],
        help="type of the network",
    )
    add("--channels-last", action="store_true", help="keep activations with the channels last")
    add(
        "--compile",
        default="none",
        choices=["none", "default", "reduce-overhead", "max-autotune"],
        help="torch.compile",
    )
    add("--batch", type=int, default=128, help="samples per step")
    add("--res", type=int, nargs=2, default=[64, 64], help="cells along x and y")
    add("--steps", type=int, default=20, help="steps to time")
    add("--warmup", type=int, default=3, help="steps before that")
    add("--seed", type=int, default=0, help="seed of weights and data")
    add("--data-seed", type=int, help="another seed for the data")
    add("--fixed-data", action="store_true", help="draw one batch only, so that drawing is not timed")
    add(
        "--split", action="store_true", help="also time the parts of a step, which makes it wait between them"
    )
    add("--print-losses", action="store_true", help="print the losses of every step")
    add("--json", help="also write the result and all losses to this file")
    add("--save-preds", help="write some predictions and their truths to this .npz file")
    add("--check", metavar="DIR", help="compare with the golden values in this folder instead")
    return parser.parse_args()


def main():
    args = arguments()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.backends.cuda.matmul.allow_tf32 = args.net_dtype == "tf32"
    torch.backends.cudnn.allow_tf32 = args.net_dtype == "tf32"
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(args.seed)
    net = UNet().to(args.device, torch.float64 if args.net_dtype == "fp64" else torch.float32)
    if args.channels_last:
        net = net.to(memory_format=torch.channels_last)
    physics_dtype = torch.float64 if args.physics == "f64" else torch.float32
    autocast = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(args.net_dtype)
    physics = Physics(*args.res, AMOUNT, args.device, physics_dtype)
    step = Step(net, physics, args.mode, args.channels_last, autocast)
    if args.check:
        check(args.check, step)
    else:
        measure(args, step)


def measure(args, step):
    cuda = args.device.startswith("cuda")
    synchronise = torch.cuda.synchronize if cuda else (lambda: None)
    optimiser = adam(step.net, **({"fused": True} if cuda else {"foreach": True}))

    def fields():
        return draw(args.batch, *args.res, args.device, step.physics.dtype)

    losses = step.losses
    if args.compile != "none":
        losses = torch.compile(losses, mode=args.compile)
        fields = torch.compile(fields, mode=args.compile)
    if args.data_seed is not None:
        torch.manual_seed(args.data_seed)
    fixed = fields() if args.fixed_data else None

    times, parts, recorded, saved = [], [], [], {}

    def lap(laps):
        if args.split:
            synchronise()
        laps.append(time.perf_counter())

    last = args.warmup + args.steps - 1
    for i in range(last + 1):
        synchronise()
        laps = [time.perf_counter()]
        if args.compile != "none" and cuda:
            torch.compiler.cudagraph_mark_step_begin()
        truth = fixed if args.fixed_data else fields()
        lap(laps)
        optimiser.zero_grad(set_to_none=True)
        loss, x_loss, y_loss, prediction = losses(truth)
        lap(laps)
        loss.sum().backward()
        lap(laps)
        optimiser.step()
        synchronise()
        laps.append(time.perf_counter())

        means = [values.mean().item() for values in (x_loss, y_loss, loss)]
        recorded.append(means)
        if args.print_losses:
            print("step {} x {:.6f} y {:.6f} loss {:.6f}".format(i, *means), flush=True)
        if args.save_preds and i in (0, 1, 5, 20, last):
            saved[f"pred_step{i}"] = prediction.detach().cpu().numpy()[:16]
            saved[f"gt_step{i}"] = truth.cpu().numpy()[:16]
        if i >= args.warmup:
            times.append(1e3 * (laps[-1] - laps[0]))
            parts.append([1e3 * (after - before) for before, after in zip(laps, laps[1:])])

    if args.save_preds:
        import numpy as np

        np.savez(args.save_preds, **saved)
    result = {
        "device": torch.cuda.get_device_name() if cuda else f"cpu x{torch.get_num_threads()}",
        "torch": torch.__version__,
        "mode": args.mode,
        "physics": args.physics,
        "net": args.net_dtype,
        "compile": args.compile,
        "channels_last": args.channels_last,
        "batch": args.batch,
        "res": args.res,
        "steps": args.steps,
        "median_ms": statistics.median(times),
        "min_ms": min(times),
        "max_ms": max(times),
    }
    if args.split:
        result["parts_ms(data,forward,backward,adam)"] = [statistics.median(part) for part in zip(*parts)]
    print(json.dumps(result))
    print(f"median {result['median_ms']:.2f} ms/step")
    if args.json:
        with open(args.json, "w") as file:
            json.dump({**result, "losses": recorded}, file)


def check(folder, step):
    """Prints relative errors of rectangles, losses, gradients and 20 steps against the golden values."""
    from safetensors.torch import load_file

    device, dtype = next(step.net.parameters()).device, step.physics.dtype

    def load(name):
        return {key: value.to(device) for key, value in load_file(f"{folder}/{name}.safetensors").items()}

    def relative(ours, golden):
        return ((ours.double() - golden.double()).norm() / golden.double().norm()).item()

    def field(rectangles):
        return rasterise(*(part.to(dtype) for part in rectangles), 64, 64)

    def worst_gradient(golden, prefix):
        zero = ("double_conv.0.bias", "double_conv.3.bias", "outc.bias")  # rounding noise alone
        live = ((name, p) for name, p in step.net.named_parameters() if not name.endswith(zero))
        return max((relative(p.grad, golden[prefix + name]), name) for name, p in live)

    # The reference system's network in 32 bits, or a golden run of it in 64.
    kind = "f64net." if step.net_dtype == torch.float64 else ""
    init, golden = load("unet_init"), load("loss")
    truth = field(golden[f"rects.{part}"] for part in ("center", "half_size", "strength"))
    print(f"rectangles {relative(truth, golden['x_gt']):.1e}")
    for step.method in ("sip", "gd"):
        step.net.load_state_dict(init)
        step.net.zero_grad()
        loss, x_loss, y_loss, prediction = step.losses(truth)
        loss.sum().backward()
        for name, ours, key in [
            ("loss", loss, f"{step.method}.{kind}loss"),
            ("x loss", x_loss, f"{step.method}.{kind}x_l2"),
            ("y loss", y_loss, f"{step.method}.{kind}y_l2"),
            ("prediction", prediction, "prediction"),  # there in 32 bits only
        ]:
            print(f"{step.method} {name} {relative(ours, golden[key]):.1e}")
        error, name = worst_gradient(golden, f"{step.method}.{kind}grad.")
        print(f"{step.method} worst gradient {error:.1e} ({name})")

    golden = load("trajectory")
    for step.method in ("sip", "gd"):
        step.net.load_state_dict(init)
        optimiser = adam(step.net)
        errors = []
        for i, expected in enumerate(golden[f"{step.method}.{kind}x_l2"].mean(1).tolist()):
            truth = field(golden[f"rects.{part}"][i] for part in ("center", "half_size", "strength"))
            optimiser.zero_grad()
            loss, x_loss, _, _ = step.losses(truth)
            loss.sum().backward()
            optimiser.step()
            errors.append(f"{abs(x_loss.mean().item() / expected - 1):.0e}")
        print(f"{step.method} x loss of 20 steps", *errors)


if __name__ == "__main__":
    main()
