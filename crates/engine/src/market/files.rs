//! Prices in files that somebody keeps up to date: `AREA.csv` or `AREA.xml` in a directory.

use std::{io, ops::Range, path::PathBuf};

use async_trait::async_trait;
use livewatt_domain::{
    Timestamp,
    id::ClientId,
    tariff::{MarketPrice, TariffId},
};

use super::{MarketSource, PriceFormat, told_by};
use crate::{EngineError, EngineResult};

/// What prices from files name as their source.
pub(super) const FILE: &str = "file";
/// Files larger than this are not read.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Files of prices in a directory, for all clients. A price counts as told when its file was
/// written.
#[derive(Debug)]
pub struct PriceFiles {
    directory: PathBuf,
}

impl PriceFiles {
    /// Those of a directory.
    pub const fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    fn read(&self, area: &str) -> io::Result<Vec<MarketPrice>> {
        let formats = [
            ("csv", PriceFormat::Csv),
            ("xml", PriceFormat::PublicationDocument),
        ];
        for (extension, format) in formats {
            let path = self.directory.join(format!("{area}.{extension}"));
            let known = match std::fs::metadata(&path) {
                Ok(known) => known,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if known.len() > LARGEST {
                return Err(io::Error::other("the file is too large"));
            }
            let written_at = Timestamp::try_from(known.modified()?).map_err(io::Error::other)?;
            let text = std::fs::read_to_string(&path)?;
            let quotes = format.read(&text);
            let quotes = quotes.map_err(|issue| io::Error::other(issue.message))?;
            return Ok(told_by(FILE, written_at, quotes));
        }
        Ok(Vec::new())
    }
}

#[async_trait]
impl MarketSource for PriceFiles {
    async fn prices(
        &self,
        _client: ClientId,
        area: &str,
        range: Range<Timestamp>,
    ) -> EngineResult<Vec<MarketPrice>> {
        // An area is a word, and no way out of the directory.
        if area.parse::<TariffId>().is_err() {
            return Ok(Vec::new());
        }
        let (files, area) = (Self::new(self.directory.clone()), area.to_owned());
        let read = tokio::task::spawn_blocking(move || files.read(&area)).await;
        let read = read.map_err(|error| EngineError::internal("reading was interrupted", error))?;
        let mut prices =
            read.map_err(|error| EngineError::internal("a file of prices cannot be read", error))?;
        prices.retain(|price| price.from < range.end && price.to > range.start);
        Ok(prices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_tell_prices_of_their_area() {
        let directory = tempfile::tempdir().unwrap();
        let files = PriceFiles::new(directory.path().to_owned());
        let client = ClientId(uuid::Uuid::nil());
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let day = at("2026-01-01T00:00Z")..at("2026-01-02T00:00Z");
        let read = async |area: &str| files.prices(client, area, day.clone()).await;
        assert_eq!(read("NO1").await.unwrap(), []);
        let text = "from,to,price,currency\n2026-01-01T23:00Z,2026-01-02T00:00Z,1,NOK\n\
                    2026-01-02T00:00Z,2026-01-02T01:00Z,2,NOK\n";
        std::fs::write(directory.path().join("NO1.csv"), text).unwrap();
        let prices = read("NO1").await.unwrap();
        assert_eq!(prices.len(), 1, "the other one is of the next day");
        assert_eq!(prices[0].source, FILE);
        assert_eq!(read("../NO1").await.unwrap(), []);
        std::fs::write(directory.path().join("NO1.csv"), "rubbish").unwrap();
        assert!(read("NO1").await.is_err());
    }
}
