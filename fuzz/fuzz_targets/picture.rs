#![no_main]

use libfuzzer_sys::fuzz_target;
use unheat::io::images::photo;

fuzz_target!(|data: &[u8]| unheat_fuzz::as_file(data, photo::read));
