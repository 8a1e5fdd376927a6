#![no_main]

use libfuzzer_sys::fuzz_target;
use unheat::io::arrays::{checkpoint, rectangles, tensors, weights};

fuzz_target!(|data: &[u8]| {
    unheat_fuzz::as_file(data, tensors::read);
    unheat_fuzz::as_file(data, weights::read);
    unheat_fuzz::as_file(data, rectangles::read);
    unheat_fuzz::as_file(data, checkpoint::read);
});
