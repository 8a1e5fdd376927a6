#![no_main]

use libfuzzer_sys::fuzz_target;
use unheat::train::settings;

fuzz_target!(|data: &[u8]| {
    unheat_fuzz::as_file(data, |path| settings::config(&settings::read(path, &[])?, path));
});
