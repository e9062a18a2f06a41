//! Says why machine-to-machine authentication does not work, and what to change.

use std::process::ExitCode;

fn main() -> ExitCode {
    m2m_cli::main()
}
