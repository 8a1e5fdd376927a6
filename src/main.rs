//! The `unheat` program; everything is in the library's `cli`.

fn main() -> std::process::ExitCode {
    spare_complaints_about_wayland();
    unheat::cli::main()
}

/// A Vulkan layer that comes with Mesa asks a Wayland display which GPU it is on. Where there is none, as on
/// servers and in containers, libwayland complains about this variable in lines that tell a person nothing. A
/// folder without a display is as good an answer.
#[cfg(all(unix, not(target_vendor = "apple")))]
#[expect(unsafe_code)]
fn spare_complaints_about_wayland() {
    const VARIABLE: &str = "XDG_RUNTIME_DIR";
    if std::env::var_os(VARIABLE).is_none_or(|folder| !std::path::Path::new(&folder).is_absolute()) {
        // SAFETY: this is the first thing that the program does, so no other thread reads the environment.
        unsafe { std::env::set_var(VARIABLE, std::env::temp_dir()) };
    }
}

#[cfg(not(all(unix, not(target_vendor = "apple"))))]
fn spare_complaints_about_wayland() {}
