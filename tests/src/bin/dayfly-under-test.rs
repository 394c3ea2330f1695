//! The `dayfly` binary as the tests run it: what writes takes `--now` too, so that they can play whole lives.

fn main() -> std::process::ExitCode {
    dayfly::main(dayfly::StatedTime::ToWrite)
}
