#![doc = include_str!("../README.md")]

mod answers;
mod clock;
mod clouds;
mod config;
mod control;
mod faults;
mod push;
mod random;
mod server;
mod truth;
mod world;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};

pub use crate::{
    answers::Answer,
    clock::MAX_SPEED,
    clouds::Cloud,
    config::{OAuthClient, SandboxConfig},
    control::{
        ControlError,
        types::{
            AccountInfo, AccountSpec, ClockInfo, DeviceInfo, DeviceKind, DevicePatch, Remote,
            TokenGrant,
        },
    },
    faults::{FaultInfo, FaultKind, FaultSpec, Garbage, ScriptEntry},
};
use crate::{server::Shared, world::World};

/// Real time that open connections get to end at shutdown.
const FAREWELL: Duration = Duration::from_secs(2);

/// A running sandbox. Its methods do what the control API does. Dropping it stops it.
#[derive(Debug)]
pub struct Sandbox {
    shared: Arc<Shared>,
    base_url: String,
    server: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Starts serving on a listener. Must be called within a tokio runtime.
    ///
    /// A speed out of range becomes 0 (a manual clock), and a script with a mistake is left out
    /// whole; the log says so.
    ///
    /// # Panics
    ///
    /// If the listener has no local address.
    pub fn start(config: SandboxConfig, listener: TcpListener) -> Self {
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let mut world = World::new(&config);
        if config.demo_accounts {
            make_demo_accounts(&mut world);
        }
        if let Err(error) = world.add_faults(config.script) {
            tracing::error!(%error, "the fault script was left out");
        }
        let shared = Arc::new(Shared::new(world));
        let server = tokio::spawn(server::run(Arc::clone(&shared), listener));
        Self {
            shared,
            base_url: format!("http://{address}"),
            server: Some(server),
        }
    }

    /// Where it serves, without a slash at the end: `http://127.0.0.1:1234`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Stops serving, lets go of hanging requests, and waits for the end.
    pub async fn shutdown(mut self) {
        self.shared.stop.cancel();
        if let Some(mut server) = self.server.take()
            && tokio::time::timeout(FAREWELL, &mut server).await.is_err()
        {
            server.abort();
        }
    }

    /// Virtual time, to the millisecond.
    pub fn now(&self) -> Timestamp {
        self.shared.clock().now
    }

    /// The clock.
    pub fn clock(&self) -> ClockInfo {
        self.shared.clock()
    }

    /// Moves time forward by up to 400 days. All pushes that fall due on the way are delivered in order
    /// and their answers awaited (at most 10 real seconds each) before this returns.
    ///
    /// # Errors
    ///
    /// `Invalid` if it is too far.
    pub async fn advance(&self, by: Duration) -> Result<(), ControlError> {
        self.shared.advance_seconds(by.as_secs_f64()).await
    }

    /// Moves time forward to a moment, living through all of it as `advance` does.
    ///
    /// # Errors
    ///
    /// `Conflict` if that is past, `Invalid` if it is more than 400 days ahead.
    pub async fn set_now(&self, now: Timestamp) -> Result<(), ControlError> {
        self.shared.set_now(now).await
    }

    /// Sets virtual seconds per real second, 0–10,000; 0 stops the clock.
    ///
    /// # Errors
    ///
    /// `Invalid` if out of range.
    pub fn set_speed(&self, speed: f64) -> Result<(), ControlError> {
        self.shared.set_speed(speed)
    }

    /// All accounts, or those of one cloud.
    pub fn accounts(&self, cloud: Option<Cloud>) -> Vec<AccountInfo> {
        self.shared.accounts(cloud)
    }

    /// One account, by id or user name.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn account(&self, cloud: Cloud, account: &str) -> Result<AccountInfo, ControlError> {
        self.shared.account(cloud, account)
    }

    /// Makes an account with its devices.
    ///
    /// # Errors
    ///
    /// `Invalid` for an unknown town or more than 50 devices of a kind, `Conflict` for a user name
    /// that is taken.
    pub fn create_account(
        &self,
        cloud: Cloud,
        spec: AccountSpec,
    ) -> Result<AccountInfo, ControlError> {
        self.shared.create_account(cloud, spec)
    }

    /// Removes an account with all it has, history too.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn delete_account(&self, cloud: Cloud, account: &str) -> Result<(), ControlError> {
        self.shared.delete_account(cloud, account)
    }

    /// Changes the password. Tokens live on, but helios refresh tokens die.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn set_password(
        &self,
        cloud: Cloud,
        account: &str,
        password: &str,
    ) -> Result<(), ControlError> {
        self.shared.set_password(cloud, account, password)
    }

    /// Takes back, as the owner of an account would, the leave to command its devices (volta).
    ///
    /// # Errors
    ///
    /// `NotFound`, or `Invalid` for clouds without permissions.
    pub fn forbid_commands(&self, cloud: Cloud, account: &str) -> Result<(), ControlError> {
        self.shared.forbid_commands(cloud, account)
    }

    /// Kills every token of an account.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn revoke_tokens(&self, cloud: Cloud, account: &str) -> Result<(), ControlError> {
        self.shared.revoke_tokens(cloud, account)
    }

    /// Ends an account's access tokens before their time; refresh tokens live on.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn expire_tokens(&self, cloud: Cloud, account: &str) -> Result<(), ControlError> {
        self.shared.expire_tokens(cloud, account)
    }

    /// Tokens as a login would give them. `client_id` (volta): `None` is the first app.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn grant_tokens(
        &self,
        cloud: Cloud,
        account: &str,
        client_id: Option<&str>,
    ) -> Result<TokenGrant, ControlError> {
        self.shared.grant_tokens(cloud, account, client_id)
    }

    /// Adds a device, or the five of a site. Pushes are delivered before this returns.
    ///
    /// # Errors
    ///
    /// `NotFound`, or `Invalid` if the cloud has no such devices.
    pub async fn add_device(
        &self,
        cloud: Cloud,
        account: &str,
        kind: DeviceKind,
    ) -> Result<Vec<DeviceInfo>, ControlError> {
        self.shared.add_device(cloud, account, kind).await
    }

    /// Takes a device from its account. Pushes are delivered before this returns.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub async fn remove_device(&self, device: &str) -> Result<(), ControlError> {
        self.shared.remove_device(device).await
    }

    /// Changes a device's state by hand and returns its truth. What follows from it (current after a
    /// plug, say) comes with the next grid points.
    ///
    /// # Errors
    ///
    /// `NotFound`, `Invalid` out of range, `Conflict` if it cannot be.
    pub async fn patch_device(
        &self,
        device: &str,
        patch: &DevicePatch,
    ) -> Result<Value, ControlError> {
        self.shared.patch_device(device, patch).await
    }

    /// Adds a fault.
    ///
    /// # Errors
    ///
    /// `NotFound` for an unknown account, `Invalid` out of range.
    pub async fn add_fault(
        &self,
        cloud: Cloud,
        fault: FaultSpec,
    ) -> Result<FaultInfo, ControlError> {
        self.shared.add_fault(cloud, fault).await
    }

    /// Adds all faults of a script, or none.
    ///
    /// # Errors
    ///
    /// As `add_fault`.
    pub async fn add_script(
        &self,
        script: Vec<ScriptEntry>,
    ) -> Result<Vec<FaultInfo>, ControlError> {
        self.shared.add_script(script).await
    }

    /// All faults, over, active or to come.
    pub fn faults(&self) -> Vec<FaultInfo> {
        self.shared.faults()
    }

    /// Drops a fault.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub async fn drop_fault(&self, id: &str) -> Result<(), ControlError> {
        self.shared.drop_fault(id).await
    }

    /// Drops all faults.
    pub async fn drop_all_faults(&self) {
        self.shared.drop_all_faults().await;
    }

    /// Takes what was answered since the last time, oldest first. Always empty unless
    /// `SandboxConfig.record_answers` is set.
    pub fn take_answers(&self) -> Vec<Answer> {
        let mut world = self.shared.world();
        world
            .answers
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// The truth as `GET /control/truth` gives it, narrowed to a cloud and an account of it.
    ///
    /// # Errors
    ///
    /// `NotFound` if an account is named that is not there.
    pub fn truth(
        &self,
        cloud: Option<Cloud>,
        account: Option<&str>,
    ) -> Result<Value, ControlError> {
        self.shared.world().truth(cloud, account)
    }

    /// The truth of one device.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn device_truth(&self, device: &str) -> Result<Value, ControlError> {
        self.shared.device_truth(device)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

fn make_demo_accounts(world: &mut World) {
    for cloud in Cloud::ALL {
        let spec = AccountSpec {
            username: Some(format!("demo@{cloud}.example")),
            password: Some("demo".into()),
            vehicles: Some(2),
            wallboxes: Some(1),
            sites: Some(1),
            town: Some("utrecht".into()),
            habits: None,
        };
        world
            .create_account(cloud, spec)
            .expect("a fresh world takes the demo accounts");
    }
}
