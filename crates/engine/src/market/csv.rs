//! Prices in lines: `from,to,price,currency`, moments in RFC 3339 and decimal numbers for a kWh.

use livewatt_domain::money::decimal;

use super::Quote;
use crate::Issue;

/// The first line.
const HEAD: &str = "from,to,price,currency";

/// The prices of a file.
pub(super) fn read(text: &str) -> Result<Vec<Quote>, Issue> {
    // Some programs begin a file with a mark of its encoding.
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    if lines.next().map(str::trim) != Some(HEAD) {
        return Err(Issue::new("", format!("must begin with the line {HEAD}")));
    }
    let lines = (2..).zip(lines).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            quote(line).map_err(|what| Issue::new("", format!("line {number}: {what}")))
        })
        .collect()
}

fn quote(line: &str) -> Result<Quote, String> {
    let parts: Vec<&str> = line.split(',').map(str::trim).collect();
    let [from, to, price, currency] = parts[..] else {
        return Err("must have four values, separated by commas".to_owned());
    };
    let moment = |text: &str| {
        text.parse()
            .map_err(|_| "a moment must be like 2026-03-02T06:00:00Z".to_owned())
    };
    Ok(Quote {
        from: moment(from)?,
        to: moment(to)?,
        per_kwh: decimal(price).map_err(|error| format!("the price {error}"))?,
        currency: (currency.parse()).map_err(|error| format!("the currency {error}"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_prices() {
        let text = "\u{feff}from,to,price,currency\r\n\
                    2026-03-29T01:00:00+01:00, 2026-03-29T00:15:00Z, -0.015, EUR\r\n\r\n";
        let quotes = read(text).unwrap();
        assert_eq!(quotes.len(), 1);
        assert_eq!(quotes[0].from, "2026-03-29T00:00:00Z".parse().unwrap());
        assert_eq!(quotes[0].per_kwh.to_string(), "-0.015");
        assert_eq!(read("from,to,price,currency").unwrap(), []);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_line() {
        let wrong = |line: &str| {
            let text = format!("from,to,price,currency\n\n{line}\n");
            read(&text).unwrap_err().message
        };
        let good = ["2026-01-01T00:00Z", "2026-01-01T01:00Z", "1", "EUR"];
        for (place, value) in [(0, "today"), (1, ""), (2, "1e3"), (2, ""), (3, "euro")] {
            let mut line = good;
            line[place] = value;
            let message = wrong(&line.join(","));
            assert!(message.starts_with("line 3: "), "{message}");
        }
        assert!(wrong("1,2,3").contains("four values"));
        assert!(read("").unwrap_err().message.contains("must begin"));
    }
}
