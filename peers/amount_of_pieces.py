"""How well `unheat restore --amount auto` finds the amount behind pieces of pictures, and how often an amount
is doubted that is right or too large. Pictures are those that come with scikit-image, and the scene of this
repository:

    python peers/amount_of_pieces.py path/to/unheat [--whole]

Each piece is cut out of a picture that was diffused, as a camera does; with --whole the piece itself is
diffused, with mirrors at its edges.
"""

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import skimage
from PIL import Image
from scipy.fft import dctn, idctn

NAMES = """camera coffee chessboard_RGB astronaut gravel brick motorcycle_left motorcycle_right text page moon
grass retina ihc cell rocket chelsea coins hubble_deep_field horse phantom""".split()
AMOUNTS = [0, 0.5, 2, 4, 8, 16]
NOISES = ["0", "1e-4", "1e-3", "1e-2", "8 bits"]
TOO_LARGE = [1.15, 1.3, 1.6, 2]


def pictures():
    folder = Path(skimage.__file__).parent / "data"
    paths = [next(folder.glob(f"{name}.*")) for name in NAMES]
    for path in [*paths, Path(__file__).parent.parent / "assets/scene.png"]:
        yield path.stem, np.asarray(Image.open(path).convert("L"), float) / 255


def diffused(x, amount):
    kx, ky = (np.pi * np.arange(n) / n for n in x.shape)
    return idctn(dctn(x, norm="ortho") * np.exp(-amount * (kx[:, None] ** 2 + ky**2)), norm="ortho")


def pieces(is_whole):
    """(amount, noise, observation) of every piece."""
    random = np.random.default_rng(1)
    for _, picture in pictures():
        for side in [96, 192]:
            if min(picture.shape) < side + 64:
                continue
            x, y = (random.integers(32, n - side - 31) for n in picture.shape)
            piece = np.s_[x : x + side, y : y + side]
            for amount in AMOUNTS:
                seen = diffused(picture[piece], amount) if is_whole else diffused(picture, amount)[piece]
                for noise in NOISES:
                    if noise == "8 bits":
                        yield amount, noise, np.round(255 * seen.clip(0, 1))
                    else:
                        added = float(noise) * random.normal(size=seen.shape)
                        yield amount, noise, (seen + added).astype("f4")


def asked(unheat, piece):
    """(estimate, low, high) or None, and which told amounts are doubted: the right one and larger ones."""
    amount, noise, seen = piece
    with tempfile.TemporaryDirectory() as folder:
        is_picture = noise == "8 bits"
        path = os.path.join(folder, "y.png" if is_picture else "y.npy")
        if is_picture:
            Image.fromarray(seen.astype("u1")).save(path)
        else:
            np.save(path, seen)
        line = [unheat, *"restore --method one-shot --edges insulated -i".split(), path]
        line += ["-o", os.path.join(folder, "x" + path[-4:])]

        def said(amount):
            done = subprocess.run([*line, "--amount", str(amount)], capture_output=True, text=True)
            return done.stdout + done.stderr

        text = said("auto")
        found = None
        if "as estimated" in text:
            words = text.split("the amount: ")[1].replace("(", "").split()
            found = float(words[0]), float(words[2]), float(words[4].rstrip(","))
        told = [amount * times for times in [1, *TOO_LARGE]]
        doubted = ["the observation shows no more" in said(a) if a > 0 else False for a in told]
    return amount, noise, found, doubted


def main():
    pool = ThreadPoolExecutor(os.cpu_count())
    all = list(pool.map(lambda piece: asked(sys.argv[1], piece), pieces("--whole" in sys.argv)))
    for noise in NOISES:
        own = [one for one in all if one[1] == noise]
        answers = [(amount, found) for amount, _, found, _ in own if found]
        near = sum(abs(found[0] - amount) <= 0.2 * amount for amount, found in answers)
        held = sum(found[1] <= amount <= found[2] for amount, found in answers)
        large = [doubted for amount, _, _, doubted in own if amount >= 2]
        shares = [sum(d[i + 1] for d in large) / len(large) for i in range(len(TOO_LARGE))]
        words = ", ".join(f"{times}: {share:.0%}" for times, share in zip(TOO_LARGE, shares))
        print(
            f"noise {noise}: of {len(own)} {len(answers)} answered, {near} within 20 %, {held} in the range; "
            f"doubted though right {sum(one[3][0] for one in own)}, too large by {words}"
        )


main()
