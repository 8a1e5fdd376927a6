#!/usr/bin/env python3
"""`unheat restore` and other programs on eight real pictures, diffused and with noise (BENCHMARKS.md).

    pip install numpy scipy pillow scikit-image
    python peers/real_pictures.py --unheat target/release/unheat
    python peers/real_pictures.py --unheat target/release/unheat --check    # the noise that unheat reads
    pip install deepinv                                                     # with PyTorch
    python peers/real_pictures.py --unheat target/release/unheat --small --noises 0.005

The pictures come with scikit-image, under CC0. They are taken in 8 bits and in colour where there is some;
the middle 512x512 pixels of `retina`, all of the others. An observation is the truth after insulated
diffusion by --amounts, plus white noise of --noises (where 1 is white), rounded to 8 bits. PSNR and SSIM are
means over the pictures, of clipped values, without 16 pixels along each edge. SSIM has Wang's window, a
Gaussian of 1.5 pixels, per colour.

Programs that take edges as periodic get the picture with its mirror images, of four times the size, which
makes their model exact. Those that assume zeros beyond the edges get 48 mirrored pixels there. So does
deepinv to save time, which changed a result by less than 0.001 dB. They take each colour on its own. "Best"
means that a setting was chosen from a grid by the truth, per picture. The time is that of one setting: for
unheat the whole process with reading and writing, for others the call alone.

--small takes the middle 128x128 pixels in grey, since deepinv needs minutes for a whole picture on a CPU.
Its total variation is that of its example of deblurring (at most 300 steps of PGD of size 1, each of 20 inner
ones, λ 0.01), and the same with FISTA, which gets further in as many steps, and the best λ.

--check takes the middle 256x256 pixels in grey, in 8 bits, as JPEG, with noise and in 16 bits. It compares
what unheat does by default with what it does if told the noise that it read, times 1/4 to 4, and shows
whether it warns.
"""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import skimage
from PIL import Image
from scipy.fft import dctn, idctn
from skimage.metrics import structural_similarity

PICTURES = "camera coffee chelsea brick grass gravel retina astronaut".split()
BORDER = 16
LARGEST = 512
CHECKED = 256
SMALL = 128
MARGIN = 48
RECONSTRUCT = "reconstruct"  # by a network that comes with unheat, for these amounts
RECONSTRUCTED = {2.0, 8.0}
FACTORS = [2 ** (k / 2) for k in range(-4, 5)]


def middle(picture, side):
    """The middle of a picture, at most side x side."""
    starts = [max(n - side, 0) // 2 for n in picture.shape[:2]]
    return picture[starts[0] : starts[0] + side, starts[1] : starts[1] + side]


def load(name, grey=False, side=LARGEST):
    folder = Path(skimage.__file__).parent / "data"
    path = next(path for path in (folder / f"{name}.png", folder / f"{name}.jpg") if path.exists())
    picture = Image.open(path)
    if picture.mode not in ("L", "RGB"):
        picture = picture.convert("RGB")
    return middle(np.asarray(picture.convert("L") if grey else picture), side)


def diffuse(x, amount):
    """Insulated diffusion over the first two axes, exact: each wave of the cosine transform shrinks."""
    squares = [(np.pi * np.arange(n) / n) ** 2 for n in x.shape[:2]]
    decay = np.exp(-amount * (squares[0][:, None] + squares[1]))
    return idctn(dctn(x, axes=(0, 1)) * decay.reshape(decay.shape + (1,) * (x.ndim - 2)), axes=(0, 1))


def rounded(y, bits=8):
    top = 2**bits - 1
    return np.rint(np.clip(y, 0, 1) * top).astype(np.uint8 if bits == 8 else np.uint16)


def observe(truth, amount, noise, seed, bits=8):
    y = diffuse(truth / 255.0, amount)
    return rounded(y + noise * np.random.default_rng(seed).standard_normal(y.shape), bits)


def unit(picture):
    """Between 0 and 1, without the border."""
    if picture.dtype.kind == "u":
        picture = picture / np.iinfo(picture.dtype).max
    return np.clip(picture, 0, 1)[BORDER:-BORDER, BORDER:-BORDER]


def psnr(picture, truth):
    return -10 * np.log10(np.mean((unit(picture) - unit(truth)) ** 2))


def ssim(picture, truth):
    return structural_similarity(
        unit(picture),
        unit(truth),
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=2 if truth.ndim == 3 else None,
    )


def extremes(picture):
    """The share of samples that are black or white."""
    top = np.iinfo(picture.dtype).max
    return float(np.mean((picture == 0) | (picture == top)))


class Unheat:
    def __init__(self, program, device, folder):
        self.program, self.device, self.folder = program, device, Path(folder)

    def restore(self, path, amount, *flags, by="restore"):
        """The picture that unheat makes of a file, what it said, its exit code and its time."""
        output = self.folder / f"restored-{time.monotonic_ns()}-{os.urandom(4).hex()}.png"
        command = [self.program, by, "--device", self.device, "--amount", str(amount), *flags]
        start = time.perf_counter()
        done = subprocess.run(
            [*command, "--input", path, "--output", output], capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - start
        if not output.exists():
            sys.exit(f"real_pictures: {' '.join(map(str, command))} wrote nothing: {done.stderr}")
        picture = np.asarray(Image.open(output))
        output.unlink()
        return picture, done, seconds


# The check: is the noise that unheat reads right, and are its warnings?


def checked_observations(truth, amount, folder, name):
    """Files of one picture's observations, by what was done to them, and what they hold."""
    quiet = observe(truth, amount, 0.0, 0)
    pictures = [("8 bits", quiet, ".png", {})]
    for quality in (97, 90, 75):
        pictures.append((f"JPEG {quality}", quiet, ".jpg", {"quality": quality}))
    for noise in (0.005, 0.02, 0.05):
        pictures.append((f"noise {noise:g}", observe(truth, amount, noise, 1), ".png", {}))
    pictures.append(("16 bits", observe(truth, amount, 0.0, 0, bits=16), ".png", {}))
    for what, picture, suffix, settings in pictures:
        path = folder / f"{name}-{amount:g}-{what.replace(' ', '-')}{suffix}"
        Image.fromarray(picture).save(path, **settings)
        yield what, path


def check_one(unheat, method, name, truth, amount, what, path):
    observed = np.asarray(Image.open(path))
    result, done, _ = unheat.restore(path, amount, "--method", method, "--strict")
    warnings = [line for line in done.stderr.splitlines() if "warning" in line]
    noise = float(re.search(r"noise ([-+.\de]+)", done.stdout)[1])
    told = {}
    for factor in FACTORS:
        picture, _, _ = unheat.restore(path, amount, "--method", method, "--noise", f"{noise * factor:.6g}")
        told[factor] = psnr(picture, truth)
    best = max(told, key=told.get)
    return {
        "case": f"{name}, amount {amount:g}, {what}",
        "noise": noise,
        "observation": psnr(observed, truth),
        "default": psnr(result, truth),
        "told": told[best],
        "factor": best,
        "clipped": 100 * (extremes(result) - extremes(truth)),
        "warnings": warnings,
        "code": done.returncode,
        "said": done.stdout.strip(),
    }


def fine(case):
    """Whether nothing is wrong with the default result."""
    near = case["told"] - case["default"] <= 1.0
    return near and case["default"] >= case["observation"] - 0.1 and case["clipped"] <= 0.5


def print_case(case):
    print(
        f"{case['case']:34} noise {case['noise']:.2e}  observation {case['observation']:6.2f}  "
        f"default {case['default']:6.2f}  told {case['told']:6.2f} (x{case['factor']:.2f})  "
        f"clipped {case['clipped']:+6.2f} %  warnings {len(case['warnings'])}  code {case['code']}"
        f"{'' if fine(case) else '  NOT FINE'}",
        flush=True,
    )


def print_summary(cases):
    behind = max(cases, key=lambda case: case["told"] - case["default"])
    worse = max(cases, key=lambda case: case["observation"] - case["default"])
    clipped = max(cases, key=lambda case: case["clipped"])
    far = sum(case["told"] - case["default"] > 1.0 for case in cases)
    below = sum(case["default"] < case["observation"] - 0.1 for case in cases)
    burnt = sum(case["clipped"] > 0.5 for case in cases)
    print(f"\n{len(cases)} cases")
    print(
        f"behind the best told noise: at most {behind['told'] - behind['default']:.2f} dB "
        f"({behind['case']}); {far} by more than 1 dB; mean "
        f"{np.mean([case['told'] - case['default'] for case in cases]):.2f} dB"
    )
    print(
        f"above the observation: at least {worse['default'] - worse['observation']:.2f} dB "
        f"({worse['case']}); {below} more than 0.1 dB below"
    )
    print(
        f"clipped more than the truth: at most {clipped['clipped']:.2f} % ({clipped['case']}); "
        f"{burnt} above 0.5 %"
    )
    loud = [case for case in cases if case["warnings"]]
    needless = [case for case in loud if fine(case)]
    silent = [case for case in cases if not fine(case) and not case["warnings"]]
    print(
        f"warnings: {len(loud)}, {len(needless)} of them on cases that are fine; "
        f"none on {len(silent)} that are not"
    )
    for case in loud:
        print(f"  {case['case']}: {case['warnings'][0]}")


def check(unheat, amounts, method, folder):
    jobs = []
    for name in PICTURES:
        truth = load(name, grey=True, side=CHECKED)
        for amount in amounts:
            for what, path in checked_observations(truth, amount, folder, name):
                jobs.append((name, truth, amount, what, path))
    cases = []
    with ThreadPoolExecutor(max(os.cpu_count() or 1, 1)) as threads:
        for case in threads.map(lambda job: check_one(unheat, method, *job), jobs):
            print_case(case)
            cases.append(case)
    print_summary(cases)
    return all(map(fine, cases))


# The comparison: each method takes an observation between 0 and 1, and tells what it made of it.


def each_colour(restore, y):
    return restore(y) if y.ndim == 2 else np.stack([restore(y[..., c]) for c in range(y.shape[2])], axis=2)


def mirrored(restore, y):
    """Restores the picture together with its mirror images, which are periodic."""
    nx, ny = y.shape
    return restore(np.pad(y, ((0, nx), (0, ny)), mode="symmetric"))[:nx, :ny]


def padded(restore, y):
    """Restores the picture with a margin of mirrored pixels."""
    return restore(np.pad(y, MARGIN, mode="symmetric"))[MARGIN:-MARGIN, MARGIN:-MARGIN]


def transfer(shape, amount):
    """What diffusion leaves of the waves of a real transform."""
    kx, ky = 2 * np.pi * np.fft.fftfreq(shape[0]), 2 * np.pi * np.fft.rfftfreq(shape[1])
    return np.exp(-amount * (kx[:, None] ** 2 + ky**2)).astype(complex)


def kernel(amount):
    z = np.exp(-(np.arange(-24, 25) ** 2) / (4 * amount))
    return np.outer(z, z) / z.sum() ** 2


def timed(restore, *arguments):
    start = time.perf_counter()
    result = restore(*arguments)
    return result, time.perf_counter() - start


def fixed(restore):
    """A method without a setting."""
    return lambda y, amount, truth: timed(restore, y, amount)


def told(restore, settings):
    """A method at the best of its settings, found by the truth; the time is the mean of all."""

    def method(y, amount, truth):
        tries = [timed(restore, y, amount, setting) for setting in settings]
        best = max(tries, key=lambda found: psnr(found[0], truth))
        return best[0], float(np.mean([seconds for _, seconds in tries]))

    return method


def climbed(restore, settings):
    """As `told`, for a slow method: climbs, from the setting that was best the last time."""
    start = [len(settings) // 2]

    def method(y, amount, truth):
        tries = {}

        def value(k):
            if k not in tries:
                tries[k] = timed(restore, y, amount, settings[k])
            return psnr(tries[k][0], truth)

        best = start[0]
        while True:
            near = max((k for k in (best - 1, best, best + 1) if 0 <= k < len(settings)), key=value)
            if near == best:
                break
            best = near
        start[0] = best
        return tries[best][0], float(np.mean([seconds for _, seconds in tries.values()]))

    return method


def unheat_methods(unheat, names):
    def method(name):
        def restore(y, amount, truth):
            path = unheat.folder / f"observed-{name}.png"
            Image.fromarray(rounded(y)).save(path)
            if name == RECONSTRUCT:
                picture, _, seconds = unheat.restore(path, amount, by=name)
            else:
                picture, _, seconds = unheat.restore(path, amount, "--method", name)
            return picture, seconds

        return restore

    return {f"unheat, {name}{' (default)' if name == 'auto' else ''}": method(name) for name in names}


def skimage_methods():
    from skimage import restoration

    def wiener(y, amount, balance):
        def one(z):
            return restoration.wiener(z, transfer(z.shape, amount), balance)

        return each_colour(lambda z: mirrored(one, z), y)

    def unsupervised(y, amount):
        def one(z):
            return restoration.unsupervised_wiener(z, transfer(z.shape, amount), rng=0)[0]

        return each_colour(lambda z: mirrored(one, z), y)

    def richardson_lucy(y, amount):
        def one(z):
            return restoration.richardson_lucy(z, kernel(amount), num_iter=30)

        return each_colour(lambda z: padded(one, z), y)

    return {
        "scikit-image, wiener, balance 0.1": fixed(lambda y, amount: wiener(y, amount, 0.1)),
        "scikit-image, wiener, best balance": told(wiener, [10 ** (k / 2) for k in range(-14, 2)]),
        "scikit-image, unsupervised_wiener": fixed(unsupervised),
        "scikit-image, richardson_lucy, 30": fixed(richardson_lucy),
    }


def deepinv_methods():
    if importlib.util.find_spec("deepinv") is None:
        print("real_pictures: deepinv is not installed", file=sys.stderr)
        return {}
    import deepinv
    import torch

    torch.set_num_threads(1)

    def total_variation(iteration, **settings):
        def restore(y, amount, weight):
            def one(z):
                z = torch.tensor(z.astype(np.float32))[None, None]
                spread = torch.tensor(kernel(amount).astype(np.float32))[None, None]
                model = deepinv.optim.optim_builder(
                    iteration=iteration,
                    prior=deepinv.optim.prior.TVPrior(n_it_max=20),
                    data_fidelity=deepinv.optim.L2(),
                    params_algo={"stepsize": 1.0, "lambda": weight, **settings},
                    early_stop=True,
                    max_iter=300,
                )
                with torch.no_grad():
                    x = model(z, deepinv.physics.BlurFFT(img_size=z.shape[1:], filter=spread))
                return x[0, 0].numpy().astype(float)

            return each_colour(lambda z: padded(one, z), y)

        return restore

    example = total_variation("PGD")
    return {
        "deepinv, TV as in its example": fixed(lambda y, amount: example(y, amount, 0.01)),
        "deepinv, TV by FISTA, best λ": climbed(
            total_variation("FISTA", a=3), [10 ** (k / 2) for k in range(-10, -2)]
        ),
    }


def measure(methods, amounts, noises, grey, side):
    """PSNR, SSIM and seconds of each method, by conditions and pictures."""
    found = {name: {} for name in methods}
    for amount in amounts:
        for noise in noises:
            for number, picture in enumerate(PICTURES):
                truth = load(picture, grey, side)
                y = observe(truth, amount, noise, number) / 255.0
                for name, method in methods.items():
                    x, seconds = method(y, amount, truth)
                    values = psnr(x, truth), ssim(x, truth), seconds
                    found[name].setdefault((amount, noise), {})[picture] = values
                    print(
                        f"{picture}, amount {amount:g}, noise {noise:g}, {name}: "
                        f"{values[0]:.2f} dB, {values[1]:.3f}, {seconds:.2f} s",
                        file=sys.stderr,
                        flush=True,
                    )
    return found


def print_table(found):
    conditions = list(next(iter(found.values())))
    print("| method | " + " | ".join(f"amount {a:g}, noise {n:g}" for a, n in conditions) + " | s |")
    print("|---|" + "---|" * (len(conditions) + 1))
    for name, results in found.items():
        means = [np.mean(list(results[condition].values()), axis=0) for condition in conditions]
        cells = [f"{mean[0]:.2f} / {mean[1]:.3f}" for mean in means]
        print(f"| {name} | " + " | ".join(cells) + f" | {np.mean([mean[2] for mean in means]):.2f} |")
    print()
    default = next((name for name in found if "default" in name), None)
    for name, results in found.items() if default else ():
        leads = {
            (*condition, picture): results[condition][picture][0] - found[default][condition][picture][0]
            for condition in conditions
            for picture in PICTURES
        }
        ahead = [case for case, lead in leads.items() if lead > 0]
        if name != default and ahead:
            amount, noise, picture = max(ahead, key=leads.get)
            print(
                f"{name} is ahead of {default} in {len(ahead)} of {len(leads)} cases, at most by "
                f"{leads[amount, noise, picture]:.2f} dB ({picture}, amount {amount:g}, noise {noise:g})"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--unheat", type=Path, default=Path("target/release/unheat"))
    parser.add_argument("--device", default="cpu", help="the device of unheat")
    parser.add_argument("--amounts", type=float, nargs="+", default=[2.0, 8.0])
    parser.add_argument("--noises", type=float, nargs="+", default=[0.005, 0.05])
    parser.add_argument("--only", default="", help="measure the methods whose names hold this alone")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--small", action="store_true", help="compare small grey pictures, with deepinv")
    kind.add_argument("--check", action="store_true", help="check the noise that unheat reads")
    parser.add_argument("--method", default="auto", help="the method of unheat for --check")
    arguments = parser.parse_args()
    if not arguments.unheat.exists():
        sys.exit(f"real_pictures: there is no {arguments.unheat}: say --unheat PATH")
    with tempfile.TemporaryDirectory() as folder:
        unheat = Unheat(arguments.unheat.resolve(), arguments.device, folder)
        if arguments.check:
            sys.exit(0 if check(unheat, arguments.amounts, arguments.method, Path(folder)) else 1)
        methods = {"observation": fixed(lambda y, amount: y)}
        if arguments.small:
            methods |= unheat_methods(unheat, ["auto", "tv", "wiener"]) | skimage_methods()
            methods |= deepinv_methods()
        else:
            names = "auto tv wiener tikhonov one-shot iterated richardson-lucy".split()
            if set(arguments.amounts) <= RECONSTRUCTED:
                names.append(RECONSTRUCT)
            methods |= unheat_methods(unheat, names) | skimage_methods()
        methods = {name: method for name, method in methods.items() if arguments.only in name}
        side = SMALL if arguments.small else LARGEST
        found = measure(methods, arguments.amounts, arguments.noises, arguments.small, side)
        print_table(found)


if __name__ == "__main__":
    main()
