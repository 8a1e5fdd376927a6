// Complex numbers as real2(re, im).

fn multiply(a: real2, b: real2) -> real2 {
    return real2(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x);
}

fn conjugate(a: real2) -> real2 {
    return real2(a.x, -a.y);
}

// Where the mode -k of a spectrum [nx, ny] lies, for k = (x, y).
fn opposite(x: u32, y: u32, nx: u32, ny: u32) -> u32 {
    return (nx - x) % nx * ny + (ny - y) % ny;
}

// The spectra of two real fields packed as u + i·v, from Z(k) and Z(-k):
// û = (Z(k) + conj Z(-k))/2 in xy, v̂ = (Z(k) - conj Z(-k))/2i in zw.
fn separate(here: real2, there: real2) -> real4 {
    let mirrored = conjugate(there);
    let difference = here - mirrored;
    return 0.5 * real4(here + mirrored, difference.y, -difference.x);
}

fn norm_squared(a: real2) -> real {
    return dot(a, a);
}
