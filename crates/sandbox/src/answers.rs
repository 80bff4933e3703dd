//! The record of answers: what was told to whom and when, for whoever wants to judge a reader by
//! something else than the reader's own words.
//!
//! Rule: an entry is made under the world's lock at the moment the answer is decided, so entries
//! are in the order of virtual time, and those of one moment in the order of answering.

use jiff::Timestamp;
use serde_json::Value;

use crate::{clouds::Cloud, world::World};

/// One answer of a cloud, or one push that was taken.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Virtual time.
    pub at: Timestamp,
    /// The cloud.
    pub cloud: Cloud,
    /// The account in whose name it was asked.
    pub account: String,
    /// Name of the endpoint as in the statistics; `push` for a push that was acknowledged.
    pub endpoint: &'static str,
    /// The device it was asked about, if it was about one.
    pub device: Option<String>,
    /// HTTP status; 0 where a fault holds the answer back. If that ends, the answer follows as an
    /// entry of its own.
    pub status: u16,
    /// Value of `Retry-After`, seconds.
    pub retry_after_seconds: Option<u32>,
    /// The faults that touched it, by the names of their kinds.
    pub faults: Vec<&'static str>,
    /// The body of a read as it was sent; null if it was no JSON or there was none.
    pub body: Value,
}

/// An answer without time and place.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) retry_after_seconds: Option<u32>,
    pub(crate) faults: Vec<&'static str>,
    pub(crate) body: Value,
}

impl World {
    /// Makes an entry, if a record is kept.
    pub(crate) fn record(
        &mut self,
        cloud: Cloud,
        account: &str,
        (endpoint, device): (&'static str, Option<&str>),
        said: Said,
    ) {
        let at = Timestamp::from_millisecond(self.now()).unwrap_or(Timestamp::MAX);
        let Some(answers) = &mut self.answers else {
            return;
        };
        answers.push(Answer {
            at,
            cloud,
            account: account.into(),
            endpoint,
            device: device.map(Into::into),
            status: said.status,
            retry_after_seconds: said.retry_after_seconds,
            faults: said.faults,
            body: said.body,
        });
    }
}
