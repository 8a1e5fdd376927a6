#![no_main]

use libfuzzer_sys::fuzz_target;
use unheat::io::arrays::npy;

fuzz_target!(|data: &[u8]| unheat_fuzz::as_file(data, npy::read));
