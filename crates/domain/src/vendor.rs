//! The vendor of a device as the wire names it. Which names exist is knowledge of the `vendors`
//! crate; here a vendor is an opaque word.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The contract's name of a vendor, for example of the form `ACME`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
pub struct VendorName(String);

/// The text cannot be a vendor's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a vendor name is 1 to 64 letters, digits, hyphens or underscores")]
pub struct InvalidVendorName;

impl VendorName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for VendorName {
    type Error = InvalidVendorName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_word = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if is_word && (1..=64).contains(&text.len()) {
            Ok(Self(text))
        } else {
            Err(InvalidVendorName)
        }
    }
}

impl FromStr for VendorName {
    type Err = InvalidVendorName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.to_owned().try_into()
    }
}

impl From<VendorName> for String {
    fn from(name: VendorName) -> Self {
        name.0
    }
}

impl fmt::Display for VendorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
