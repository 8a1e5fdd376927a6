#![no_main]

use libfuzzer_sys::fuzz_target;
use unheat::train::config::file;

fuzz_target!(|data: &[u8]| {
    unheat_fuzz::as_file(data, |path| file::config(&file::read(path, &[])?, path));
});
