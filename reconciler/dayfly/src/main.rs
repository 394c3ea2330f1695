//! The `dayfly` binary; everything is in the library, so that tests can call it.

fn main() -> std::process::ExitCode {
    dayfly::main(dayfly::StatedTime::ToRead)
}
