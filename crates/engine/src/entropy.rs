//! Randomness of the operating system.

use livewatt_domain::entropy::Entropy;

/// The operating system's source of randomness, fit for secrets.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the system's randomness"
    )]
    fn fill(&self, buffer: &mut [u8]) {
        // Without randomness no secret can be made; going on would be worse than stopping.
        getrandom::fill(buffer).expect("the operating system provides randomness");
    }
}
