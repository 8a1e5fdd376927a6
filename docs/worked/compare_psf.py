"""Compares unheat with other programs that undo a known point spread function, on two cores without a GPU.

pip install "numpy<2.4" scikit-image tifffile RedLionfish bm3d scico; unheat has to be on the PATH.
Rivals that are not installed are left out. Prints tables in Markdown. With the argument `noise` it compares
noise that unheat reads with noise that it is told, right or wrong.
"""
import os, subprocess, sys, tempfile, time
import numpy as np, tifffile
from scipy.signal import fftconvolve
from scipy.special import j1
from skimage import data, metrics, restoration

def airy(n, zero):                            # a lens without faults; its first dark ring is at `zero` pixels
    c = np.arange(n) - n // 2
    r = np.hypot(*np.meshgrid(c, c)) * 3.8317 / zero + 1e-9
    return (2 * j1(r) / r) ** 2
def disk(r):                              # a lens out of focus; each pixel is averaged over 16 × 16 points
    n = 2 * int(np.ceil(r)) + 3
    c = (np.arange(n * 16) + 0.5) / 16 - n / 2
    return (np.hypot(*np.meshgrid(c, c)) <= r).reshape(n, 16, n, 16).mean((1, 3))
def motion(length, degrees, n=15):        # a line, drawn with points that share their weight among 4 pixels
    p = np.zeros((n, n))
    for t in np.linspace(-length / 2, length / 2, 2001):
        y, x = n // 2 - t * np.sin(np.radians(degrees)), n // 2 + t * np.cos(np.radians(degrees))
        i, j, v, u = int(y), int(x), y % 1, x % 1
        p[i:i + 2, j:j + 2] += np.outer([1 - v, v], [1 - u, u])
    return p

# What a rival thinks lies beyond the edges matters as much as its method. So each gets the picture as it is,
# mirrored by 32 pixels, or led to its mean within 32 pixels, whatever suits it best.
def padded(f, y, how):
    if how == 'none':
        return f(y)
    a = np.pad(y, 32, how, **({'end_values': y.mean()} if how == 'linear_ramp' else {}))
    return np.asarray(f(a))[32:-32, 32:-32]
PADS = ['none', 'reflect', 'linear_ramp']

def unheat(*flags):
    def run(y, k, sigma, setting):
        with tempfile.TemporaryDirectory() as d:
            y_tif, k_tif, x_tif = (os.path.join(d, n) for n in ('y.tif', 'k.tif', 'x.tif'))
            tifffile.imwrite(y_tif, y.astype(np.float32))
            tifffile.imwrite(k_tif, k.astype(np.float32))
            noise = [] if setting == 'read' else ['--noise', str(sigma * setting)]
            subprocess.run(['unheat', 'restore', '-i', y_tif, '-o', x_tif, '--operator', 'psf:' + k_tif,
                            *noise, *flags], check=True, capture_output=True)
            return tifffile.imread(x_tif).astype(float)
    return run

def scico_tv(y, k, sigma, setting):           # its TV by ADMM, with the solver for circular convolutions
    import scico.numpy as snp
    from scico import functional, linop, loss
    from scico.optimize.admm import ADMM, CircularConvolveSolver
    how, lam = setting
    def run(a):
        a, m = snp.array(a, dtype='float32'), k.shape[0] // 2
        H = linop.CircularConvolve(h=snp.array(k, dtype='float32'), input_shape=a.shape, h_center=[m, m])
        D = linop.FiniteDifference(input_shape=a.shape, circular=True)
        return ADMM(f=loss.SquaredL2Loss(y=a, A=H), g_list=[lam * functional.L21Norm()], C_list=[D], x0=a,
                    rho_list=[20 * lam], maxiter=100, subproblem_solver=CircularConvolveSolver()).solve()
    return padded(run, y, how)
def red_lion(y, k, sigma, setting):           # for volumes; wrong for one plane or an odd PSF
    from RedLionfishDeconv import doRLDeconvolutionFromNpArrays as rl
    psf = np.zeros((2, k.shape[0] + 1, k.shape[1] + 1), np.float32)
    psf[1, 1:, 1:] = k
    two = lambda a: np.stack([a, a]).astype(np.float32)
    return padded(lambda a: rl(two(a), psf, niter=setting, method='cpu')[0], y, 'reflect')
def bm3d(y, k, sigma, how):
    from bm3d import bm3d_deblurring
    return padded(lambda a: bm3d_deblurring(np.atleast_3d(a), sigma, k), y, how)

ROUNDS = [3, 5, 10, 20, 40, 80]
grid = lambda values: [(p, v) for p in PADS for v in values]
sk = restoration
METHODS = {  # name: (what it is told, what computes it, the settings of which the truth chooses the best)
    'unheat restore': ('nothing', unheat(), ['read']),
    'unheat restore --noise': ('noise', unheat(), [1]),
    'unheat, wiener': ('nothing', unheat('--method', 'wiener'), ['read']),
    'scikit-image wiener': ('truth', lambda y, k, s, q: padded(
        lambda a: sk.wiener(a, k, q[1], clip=False), y, q[0]), grid(10.0 ** np.arange(-6, 0.5, 0.5))),
    'scikit-image unsupervised_wiener': ('edges', lambda y, k, s, p: padded(
        lambda a: sk.unsupervised_wiener(a, k, clip=False, rng=0)[0], y, p), PADS),
    'scikit-image richardson_lucy': ('truth', lambda y, k, s, n: padded(
        lambda a: sk.richardson_lucy(a, k, n, clip=False), y, 'reflect'), ROUNDS),
    'RedLionfish': ('truth', red_lion, ROUNDS),
    'bm3d_deblurring': ('noise', bm3d, ['linear_ramp']),
    'scico, TV by ADMM': ('truth', scico_tv, [('linear_ramp', v) for v in np.geomspace(1e-5, 1e-3, 5)]),
}
if sys.argv[1:] == ['noise']:
    METHODS = {f'told {q} times the noise': ('', unheat(), [q]) for q in (0.25, 0.5, 0.8, 1, 1.25, 2, 4)}
    METHODS['read'] = ('', unheat(), ['read'])
rng, cases = np.random.default_rng(0), []
for sigma in (1e-2, 1e-3):
    for name in ('camera', 'coins'):
        for kind, k in (('Airy', airy(15, 4)), ('disk', disk(3)), ('motion', motion(11, 30))):
            k, big = k / k.sum(), getattr(data, name)() / 255
            h = k.shape[0] // 2               # light comes in from outside, as in a real lens
            y = fftconvolve(big, k, mode='valid')
            cases.append((sigma, name, kind, k, y + rng.normal(0, sigma, y.shape), big[h:-h, h:-h]))
def scores(x, a):
    a, inner = np.clip(a, 0, 1), np.s_[32:-32, 32:-32]
    return np.array([metrics.peak_signal_noise_ratio(x, a, data_range=1),
                     metrics.structural_similarity(x, a, data_range=1),
                     metrics.peak_signal_noise_ratio(x[inner], a[inner], data_range=1)])
rows = {'the blurred picture': ('', '', [scores(c[5], c[4]) for c in cases])}
for name, (told, f, settings) in METHODS.items():
    try:
        results = []
        for sigma, picture, kind, k, y, x in cases:
            tries = [(scores(x, np.nan_to_num(f(y, k, sigma, q))), q) for q in settings]
            results.append(max(tries, key=lambda t: t[0][0]))
        seconds = []
        for _ in range(3):                    # of the first case, a picture of 498 × 498 pixels
            start = time.perf_counter()
            f(cases[0][4], cases[0][3], cases[0][0], results[0][1])
            seconds.append(time.perf_counter() - start)
        rows[name] = (told, f'{np.median(seconds):.2f}', [r[0] for r in results])
        print(name, 'best settings:', *(r[1] for r in results), flush=True)
    except ImportError as error:
        print(name, 'is left out:', error)
for part, sigma in ((slice(0, 6), 1e-2), (slice(6, 12), 1e-3)):
    print(f'\nNoise {sigma:g}, PSNR in dB:\n\n| | told |', *(f'{c[1]} {c[2]} |' for c in cases[part]),
          'mean | inner | SSIM | s |\n' + '|---' * 12 + '|')
    for name, (told, seconds, r) in rows.items():
        mean = np.mean(r[part], axis=0)
        print(f'| {name} | {told} |', *(f'{v[0]:.2f} |' for v in r[part]),
              f'{mean[0]:.2f} | {mean[2]:.2f} | {mean[1]:.3f} | {seconds} |')
