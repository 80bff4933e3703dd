//! Money: decimal numbers and currencies. Nothing that is paid is a binary fraction.

use std::{fmt, str::FromStr};

pub use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// A currency by its ISO 4217 code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

/// The text is not the code of a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the code of a currency: three capital letters, such as EUR")]
pub struct NotACurrency;

impl Currency {
    /// The code.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Currency {
    type Err = NotACurrency;

    fn from_str(text: &str) -> Result<Self, NotACurrency> {
        let code: [u8; 3] = text.as_bytes().try_into().map_err(|_| NotACurrency)?;
        let is_code = code.iter().all(u8::is_ascii_uppercase);
        is_code.then_some(Self(code)).ok_or(NotACurrency)
    }
}

impl TryFrom<String> for Currency {
    type Error = NotACurrency;

    fn try_from(text: String) -> Result<Self, NotACurrency> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not a decimal number as the contract writes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a decimal number with at most nine digits on each side of the point")]
pub struct NotADecimal;

/// Digits allowed on each side of the point.
const MOST_DIGITS: usize = 9;

/// A decimal number as the contract writes it: `^[+-]?(\d{1,9}([.]\d{0,9})?|[.]\d{1,9})$`.
///
/// # Errors
/// If the text is written otherwise.
pub fn decimal(text: &str) -> Result<Decimal, NotADecimal> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let is_number =
        |part: &str| part.len() <= MOST_DIGITS && part.bytes().all(|byte| byte.is_ascii_digit());
    let has_digits = !whole.is_empty() || !fraction.is_empty();
    if !(has_digits && is_number(whole) && is_number(fraction)) {
        return Err(NotADecimal);
    }
    // At most 18 digits, which every i64 holds.
    let digits: i64 = format!("{whole}{fraction}")
        .parse()
        .map_err(|_| NotADecimal)?;
    let signed = if text.starts_with('-') {
        -digits
    } else {
        digits
    };
    Ok(Decimal::new(signed, fraction.len() as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_as_the_contract_writes_them() {
        for (text, value) in [
            ("0", "0"),
            ("1.50", "1.50"),
            ("+1.", "1"),
            (".5", "0.5"),
            ("-.000000001", "-0.000000001"),
            ("999999999.999999999", "999999999.999999999"),
            ("-999999999.999999999", "-999999999.999999999"),
        ] {
            assert_eq!(decimal(text).unwrap().to_string(), value, "{text}");
        }
        for text in [
            "",
            "+",
            "-",
            ".",
            "1e3",
            "1,5",
            " 1",
            "1 ",
            "--1",
            "0x1",
            "١",
            "1234567890",
            "1.0000000000",
            "1.2.3",
            "+-1",
            "NaN",
            "inf",
        ] {
            assert_eq!(decimal(text), Err(NotADecimal), "{text}");
        }
    }

    #[test]
    fn a_currency_is_three_capital_letters() {
        assert_eq!("NOK".parse::<Currency>().unwrap().to_string(), "NOK");
        for text in ["", "nok", "EURO", "EU", "E R", "Ü2", "123"] {
            assert_eq!(text.parse::<Currency>(), Err(NotACurrency), "{text}");
        }
    }
}
