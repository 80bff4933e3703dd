//! Writing budgets down: before a call is sent, what is stored covers it.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use livewatt_domain::{clock::Clock, id::AccountId};

use super::{Budgets, OverBudget, Payer, Spent};
use crate::http::Priority;

/// How long no calls are made after they could not be written down.
const REST: SignedDuration = SignedDuration::from_secs(10);

/// Where budgets are stored.
#[async_trait]
pub trait Ledger: Send + Sync + fmt::Debug {
    /// Writes rows, replacing those of the same keys, all or none; once this returns they survive
    /// a crash. Writes take effect in the order in which they are begun.
    ///
    /// # Errors
    /// If they are not written.
    async fn write(&self, rows: Vec<Spent>) -> Result<(), NotWritten>;
}

/// Budgets could not be written down.
#[derive(Debug, thiserror::Error)]
#[error("budgets cannot be written down")]
pub struct NotWritten(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// A call that was drawn and is covered. Dropping it says that the call is over: it may have been
/// counted as late as that.
#[derive(Debug)]
#[must_use = "a call that is not held is over"]
pub struct OpenCall {
    budgets: Arc<Budgets>,
    clock: Arc<dyn Clock>,
    integration: &'static str,
    account: Option<AccountId>,
    share: u16,
    started_at: Timestamp,
}

impl OpenCall {
    const fn payer(&self) -> Payer<'static> {
        Payer {
            integration: self.integration,
            account: self.account,
            share: self.share,
        }
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let ended_at = self.clock.now();
        self.budgets.settle(self.payer(), self.started_at, ended_at);
    }
}

impl Budgets {
    /// Draws one call from every budget it concerns, or from none, and waits until it is covered by
    /// what is stored. A call without an account concerns the budgets of the app only.
    ///
    /// # Errors
    /// If a budget has no room; the moment is when all of them have. If the call cannot be written
    /// down, it must not be made either: then the moment is a little later.
    pub async fn open(
        self: &Arc<Self>,
        integration: &'static str,
        account: Option<AccountId>,
        priority: Priority,
        clock: &Arc<dyn Clock>,
    ) -> Result<OpenCall, OverBudget> {
        let started_at = clock.now();
        let drawn = self.draw(integration, account, priority, started_at)?;
        let call = OpenCall {
            budgets: self.clone(),
            clock: clock.clone(),
            integration,
            account,
            share: drawn.share,
            started_at,
        };
        if !drawn.is_covered && self.ledger.is_some() {
            self.cover(call.payer(), started_at)
                .await
                .map_err(|error| {
                    tracing::error!(
                        integration,
                        error = %error.0,
                        "a call is not made: its budget cannot be written down"
                    );
                    let until = started_at.saturating_add(REST).unwrap_or(started_at);
                    OverBudget { until }
                })?;
        }
        Ok(call)
    }

    /// Writes until the calls of these budgets are covered: those that wait together are written
    /// together.
    async fn cover(&self, payer: Payer<'_>, now: Timestamp) -> Result<(), NotWritten> {
        let _writing = self.writing.lock().await;
        while !self.is_covered(payer) {
            self.write_changes(now).await?;
        }
        Ok(())
    }

    /// Writes down what changed; returns the number of rows. What could not be written is written
    /// with the next.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn write_down(&self, now: Timestamp) -> Result<usize, NotWritten> {
        let _writing = self.writing.lock().await;
        self.write_changes(now).await
    }

    async fn write_changes(&self, now: Timestamp) -> Result<usize, NotWritten> {
        let Some(ledger) = &self.ledger else {
            return Ok(0);
        };
        let rows = self.take_changes(now);
        let count = rows.len();
        if count > 0 {
            ledger.write(rows).await?;
        }
        self.confirm();
        Ok(count)
    }
}
