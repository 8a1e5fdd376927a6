//! needs lib/norm lib/quads

// The activations of six neighbouring cells, of which `own` are the middle four, from z.
fn activated_row(before: stored, own: stored4, after: stored, norm: vec4<f32>) -> Row {
    return Row(
        activate(pre_activation(unpack(stored4(before, own.xyz)), norm)),
        activate(pre_activation(unpack(stored4(own.w, after, after, after)), norm)).xy,
    );
}
