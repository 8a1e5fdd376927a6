//! needs heat/fft/lines

// The middle of an observation, P(x) = F⁻¹(H·F(x)) (method §2): from the transform along y, along x to the
// spectrum, times H (transfer/), and back along x. P makes real fields of real ones, so it acts on both
// fields of a packed pair. The lines stay in workgroup memory (fft/lines.wgsl).

fn filtered(first_line: u32, line: u32, element: u32) -> real2 {
    let mode = cell(first_line + line, element);
    return swapped(transferred(mode.x * params.ny + mode.y, lines[slot(line, element)]), true);
}

// Times K, and to the order that `transform` expects. One invocation swaps the two elements that trade
// places.
fn filter_lines(first_line: u32, local: u32) {
    workgroupBarrier();
    for (var i = local; i < LENGTH * LINES; i += WORKGROUP) {
        let line = i % LINES;
        let element = i / LINES;
        let partner = reversed(element);
        if element <= partner {
            let here = filtered(first_line, line, element);
            let there = filtered(first_line, line, partner);
            lines[slot(line, partner)] = here;
            lines[slot(line, element)] = there;
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let first_line = workgroup.x * LINES;
    gather(first_line, local, false);
    transform(local);
    filter_lines(first_line, local);
    transform(local);
    scatter(first_line, local, true);
}
