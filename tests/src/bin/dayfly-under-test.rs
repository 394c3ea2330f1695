//! The `dayfly` binary as the tests run it.

fn main() -> std::process::ExitCode {
    dayfly::main()
}
