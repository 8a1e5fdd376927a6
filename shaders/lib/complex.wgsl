// Complex numbers as vec2(re, im).

fn multiply(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
    return vec2(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x);
}

fn conjugate(a: vec2<f32>) -> vec2<f32> {
    return vec2(a.x, -a.y);
}

// The spectra of two real fields packed as u + i·v, from Z(k) and Z(-k):
// û = (Z(k) + conj Z(-k))/2 in xy, v̂ = (Z(k) - conj Z(-k))/2i in zw.
fn separate(here: vec2<f32>, there: vec2<f32>) -> vec4<f32> {
    let mirrored = conjugate(there);
    let difference = here - mirrored;
    return 0.5 * vec4(here + mirrored, difference.y, -difference.x);
}

fn norm_squared(a: vec2<f32>) -> f32 {
    return dot(a, a);
}
