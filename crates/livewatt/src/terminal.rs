//! What people asked to see, on standard output.

use std::io::Write as _;

/// Prints a line. A closed pipe is no error: whoever closed it has seen enough.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
