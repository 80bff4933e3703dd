//! Sending one command, through its vendor's cloud or over its station's socket.

use livewatt_domain::{
    account::{Account, AccountStatus, AttemptOutcome},
    action::{SendOutcome, Target},
    device::Device,
    id::{AccountId, DeviceId},
};
use livewatt_vendors::{
    AccountContext, AccountOutcome, CommandOutcome, ReadShape, http::Priority, vendor::SharedVendor,
};

use crate::{Engine, EngineResult, poll::credentials::Refreshed};

impl Engine {
    /// Tells a device what to do, refreshing its account's login once if need be.
    pub(super) async fn command(
        &self,
        account: &Account,
        vendor: &SharedVendor,
        device: &Device,
        target: &Target,
    ) -> EngineResult<SendOutcome> {
        let integration = vendor.manifest().id;
        if vendor.manifest().reads == ReadShape::PushOnly {
            let told = self.command_station(account, device, target).await;
            count(integration, &told);
            return Ok(told);
        }
        let told = self.command_cloud(account, vendor, device, target).await;
        match &told {
            Ok(CommandOutcome::Account(outcome)) => match outcome.kind() {
                AttemptOutcome::Unreachable => {
                    let now = self.now();
                    self.breakers
                        .note_failure(integration, now, self.entropy.as_ref());
                }
                AttemptOutcome::OverBudget => self.breakers.note_nothing(integration),
                _ => self.breakers.note_answer(integration),
            },
            Ok(CommandOutcome::Answered(_)) => self.breakers.note_answer(integration),
            Err(_) => self.breakers.note_nothing(integration),
        }
        let told = in_words(told?);
        count(integration, &told);
        Ok(told)
    }

    async fn command_cloud(
        &self,
        account: &Account,
        vendor: &SharedVendor,
        device: &Device,
        target: &Target,
    ) -> EngineResult<CommandOutcome> {
        let id = account.id;
        let _permit = self.breakers.enter(vendor.manifest().id).await;
        // Read only now: while this waited, the account may have been linked anew or given up.
        let (account, credentials) = match self.store.account_to_fetch(id).await? {
            Some((account, sealed)) if account.status == AccountStatus::Active => {
                (account, self.open_sealed(id, sealed)?)
            }
            _ => {
                return Ok(CommandOutcome::refused("the device is no longer linked"));
            }
        };
        let caller = self
            .http
            .caller(vendor.manifest().id, Some(id), Priority::Asked);
        let context = |credentials| AccountContext {
            caller: &caller,
            clock: self.clock.as_ref(),
            vendor_account_id: &account.vendor_account_id,
            credentials,
        };
        let wanted = &device.vendor_device;
        let told = vendor.command(context(&credentials), wanted, target).await;
        if told != CommandOutcome::Account(AccountOutcome::LoginExpired) {
            return Ok(told);
        }
        match self
            .refresh(&account, vendor, context(&credentials))
            .await?
        {
            Refreshed::Fresh(fresh) => Ok(vendor.command(context(&fresh), wanted, target).await),
            Refreshed::Revoked => {
                self.invalidate(&account).await?;
                Ok(CommandOutcome::refused(
                    "the vendor no longer accepts the user's sign-in",
                ))
            }
            Refreshed::Failed(outcome) => Ok(outcome.into()),
        }
    }

    /// Tells a station what to do.
    async fn command_station(
        &self,
        account: &Account,
        device: &Device,
        target: &Target,
    ) -> SendOutcome {
        let station = &account.vendor_account_id;
        self.order_station(station, &device.vendor_device, *target)
            .await
    }

    /// Has a device that comes to us say how it is; nothing if it is another's, or not here.
    pub(super) async fn ask_station_how_it_is(&self, account: AccountId, device: DeviceId) {
        let found = self.fleet.read(account, |slot| {
            let device = slot.devices.iter().find(|known| known.id == device)?;
            (slot.shape == ReadShape::PushOnly).then(|| device.vendor_device())
        });
        if let Some(Some(device)) = found {
            self.ask_station(&device);
        }
    }
}

fn count(integration: &'static str, told: &SendOutcome) {
    let outcome = match told {
        SendOutcome::Accepted => "accepted",
        SendOutcome::AlreadySo => "alreadySo",
        SendOutcome::Unreachable(_) => "deviceUnreachable",
        SendOutcome::Throttled(_) => "throttled",
        SendOutcome::Failed(_) => "failed",
        SendOutcome::Refused(_) => "refused",
    };
    metrics::counter!(
        "livewatt_commands_total", "integration" => integration, "outcome" => outcome,
    )
    .increment(1);
}

/// What an outcome means for an action. Customers read the words: no address of a vendor is in them.
fn in_words(told: CommandOutcome) -> SendOutcome {
    let failed = |what: &str| SendOutcome::Failed(what.to_owned());
    let outcome = match told {
        CommandOutcome::Answered(told) => return told,
        CommandOutcome::Account(outcome) => outcome,
    };
    tracing::debug!(?outcome, "a command was not taken");
    match outcome {
        AccountOutcome::Ok => SendOutcome::Accepted,
        AccountOutcome::RateLimited { until, .. } | AccountOutcome::OverBudget { until } => {
            SendOutcome::Throttled(until)
        }
        AccountOutcome::LoginExpired => failed("the vendor did not accept the user's sign-in"),
        AccountOutcome::Unreachable(_) => failed("the vendor did not answer"),
        AccountOutcome::Malformed(_) => failed("the vendor's answer made no sense"),
        AccountOutcome::Refused(_) => failed("the vendor did not take the command"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use livewatt_domain::{
        Timestamp,
        action::{Action, ActionState, ChargingKind, Owner, Sends},
        id::{ActionId, ClientId},
        kind::DeviceKind,
    };
    use uuid::Uuid;

    use super::*;

    /// A vehicle's start, made at a moment.
    pub(in crate::actions) fn action(now: Timestamp) -> Action {
        let id = Uuid::from_u128(1);
        Action {
            id: ActionId(id),
            client_id: ClientId(id),
            user_id: "ada".parse().unwrap(),
            device_id: DeviceId(id),
            device_kind: DeviceKind::Vehicle,
            target: Target::Charging(ChargingKind::Start),
            owner: Owner::Caller,
            created_at: now,
            updated_at: now,
            completed_at: None,
            state: ActionState::Pending,
            failure_reason: None,
            closes_at: now
                .saturating_add(livewatt_domain::SignedDuration::from_mins(30))
                .unwrap(),
            sends: Sends::default(),
        }
    }

    #[test]
    fn customers_read_nothing_of_a_vendors_addresses() {
        let place = "cloud.example/v1/vehicles/VIN1: status 503".to_owned();
        for outcome in [
            AccountOutcome::Unreachable(place.clone()),
            AccountOutcome::Malformed(place.clone()),
            AccountOutcome::Refused(place),
        ] {
            let SendOutcome::Failed(words) = in_words(outcome.into()) else {
                panic!("it failed");
            };
            assert!(!words.contains("cloud.example"), "{words}");
        }
        let until = Timestamp::constant(7, 0);
        let over = AccountOutcome::OverBudget { until };
        assert_eq!(in_words(over.into()), SendOutcome::Throttled(until));
    }
}
