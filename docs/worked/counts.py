"""Which recipe undoes a known blur best where the noise is that of counted photons? Prints Markdown.

pip install scikit-image tifffile; unheat has to be on the PATH. With `write` it only writes the files of
microscope.md: cells.tif (counts), cells_truth.tif, psf.tif and bead.tif, a measured PSF.
"""
import subprocess, sys
import numpy as np, tifffile
from scipy.ndimage import gaussian_filter
from scipy.signal import fftconvolve
from scipy.special import j1
from skimage import data, metrics

def airy(n, zero):                            # the PSF of a lens; its first dark ring is at `zero` pixels
    c = np.arange(n) - n // 2
    r = np.hypot(*np.meshgrid(c, c)) * 3.8317 / zero + 1e-9
    p = (2 * j1(r) / r) ** 2
    return p / p.sum()
def cells(n=300, seed=7):                     # nuclei, filaments, small spots, 3 % background
    g, im = np.random.default_rng(seed), np.zeros((n, n))
    y, x = np.mgrid[0:n, 0:n]
    for _ in range(9):
        (cy, cx), (a, b), t = g.uniform(0, n, 2), g.uniform(14, 26, 2), g.uniform(0, np.pi)
        u, v = (y - cy) * np.cos(t) + (x - cx) * np.sin(t), (x - cx) * np.cos(t) - (y - cy) * np.sin(t)
        texture = 0.8 + 3 * gaussian_filter(g.normal(size=(n, n)), 3)
        im += 0.25 * g.uniform(0.6, 1) * ((u / a) ** 2 + (v / b) ** 2 < 1) * texture
    im = np.clip(gaussian_filter(im, 1), 0, None)
    for _ in range(60):
        p, d, w = g.uniform(0, n, 2), g.uniform(0, 2 * np.pi), g.uniform(0.15, 0.5)
        for _ in range(400):
            d += g.normal(0, 0.04)
            p = p + 0.5 * np.array([np.sin(d), np.cos(d)])
            i, j = np.floor(p).astype(int)
            if not (0 <= i < n - 1 and 0 <= j < n - 1):
                break
            f, h = p - [i, j]
            im[i:i + 2, j:j + 2] += 0.5 * w * np.outer([1 - f, f], [1 - h, h])
    for _ in range(80):
        i, j = g.integers(2, n - 2, 2)
        im[i - 1:i + 1, j - 1:j + 1] += g.uniform(0.2, 0.5)
    im = np.minimum(im, np.quantile(im, 0.9995))
    return 0.97 * im / im.max() + 0.03

K = airy(15, 3.5)
H = K.shape[0] // 2
def observe(scene, peak, seed):               # light comes in from outside too
    mean = np.maximum(fftconvolve(scene, K, mode='valid'), 0) * peak
    return np.random.default_rng(seed).poisson(mean).astype(float), scene[H:-H, H:-H] * peak
def write(name, a):
    tifffile.imwrite(name, a.astype(np.float32), photometric='minisblack')
if sys.argv[1:] == ['write']:
    counts, truth = observe(cells(), 200, 200)
    write('cells.tif', counts), write('cells_truth.tif', truth), write('psf.tif', K)
    p = airy(31, 3.5)
    write('bead.tif', np.random.default_rng(1).poisson(1000 * p / p.max() + 100))
    sys.exit()

def restore(y, operator, *flags):
    write('in.tif', y)
    subprocess.run(['unheat', 'restore', '-i', 'in.tif', '-o', 'out.tif', '--operator', operator, *flags],
                   check=True, capture_output=True)
    return tifffile.imread('out.tif').astype(float)
def root(y):                                  # Anscombe: noise of about 1, whatever the count
    return 2 * np.sqrt(y + 3 / 8)
def square(z):                                # its inverse without a bias (Mäkitalo and Foi)
    z, s = np.maximum(z, 2 * np.sqrt(3 / 8)), np.sqrt(1.5)
    return np.maximum(z * z / 4 + s / 4 / z - 11 / 8 / z**2 + 5 / 8 * s / z**3 - 1 / 8, 0)
def recipes(y):
    psf, told = 'psf:psf.tif', ['--noise', str(np.sqrt(y.mean()))]
    yield 'the counts', y
    for m in ('auto', 'tv', 'wiener'):
        yield f'a: `{m}`', restore(y, psf, '--method', m)
    yield 'a: `auto`, noise √mean', restore(y, psf, *told)
    yield 'b: `richardson-lucy`', restore(y, psf, '--method', 'richardson-lucy')
    yield 'b: `richardson-lucy`, noise √mean', restore(y, psf, '--method', 'richardson-lucy', *told)
    for m in ('auto', 'tv', 'wiener'):
        yield f'c: roots, `{m}`, squares', square(restore(root(y), psf, '--method', m, '--noise', '1'))
    for m in ('tv', 'wiener'):
        quiet = square(restore(root(y), 'heat:0', '--method', m, '--noise', '1'))
        yield f'd: `{m}` of the roots, squares, `auto`', restore(quiet, psf)

write('psf.tif', K)
table, heads = {}, []
for name, scene in (('cells', cells()), ('veil', 0.7 * cells() + 0.3), ('coins', data.coins() / 255)):
    for peak in (50, 200, 1000):
        y, x = observe(scene, peak, peak)
        heads.append(f'{name} {peak}')
        for recipe, a in recipes(y):
            a = np.clip(a, 0, peak)
            table.setdefault(recipe, []).append(
                (metrics.peak_signal_noise_ratio(x, a, data_range=peak),
                 metrics.structural_similarity(x, a, data_range=peak)))
for k, title in enumerate(('PSNR in dB', 'SSIM')):
    print(f'\n| {title} |', *(h + ' |' for h in heads), 'mean |\n' + '|---' * (len(heads) + 2) + '|')
    for recipe, r in table.items():
        v = [*(s[k] for s in r), np.mean([s[k] for s in r])]
        print(f'| {recipe} |', *(f'{s:.{1 + k}f} |' for s in v))
