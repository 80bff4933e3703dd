//! What can be done to a running sandbox from outside, by HTTP or in process.

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    ControlError,
    clouds::{Cloud, login},
    control::types::{
        AccountInfo, AccountSpec, ClockInfo, DeviceInfo, DeviceKind, DevicePatch, TokenGrant,
    },
    faults::{Fault, FaultInfo, FaultSpec, ScriptEntry},
    server::Shared,
    world::{World, account::Account, tokens::Grant},
};

/// The farthest one advance goes, in seconds.
const FARTHEST: f64 = 400.0 * 86_400.0;

impl Shared {
    pub(crate) fn clock(&self) -> ClockInfo {
        let world = self.world();
        let now = Timestamp::from_millisecond(world.now()).unwrap_or(Timestamp::MAX);
        ClockInfo {
            now,
            speed: world.clock.speed(),
        }
    }

    pub(crate) fn set_speed(&self, speed: f64) -> Result<(), ControlError> {
        self.world().clock.set_speed(speed)
    }

    pub(crate) async fn set_now(&self, now: Timestamp) -> Result<(), ControlError> {
        let target = now.as_millisecond();
        if target.saturating_sub(self.world().now()) as f64 > FARTHEST * 1000.0 {
            return Err(ControlError::invalid("that is too far ahead"));
        }
        if self.advance_to(target).await {
            Ok(())
        } else {
            Err(ControlError::conflict("time does not go back"))
        }
    }

    pub(crate) async fn advance_seconds(&self, seconds: f64) -> Result<(), ControlError> {
        if !(0.0..=FARTHEST).contains(&seconds) {
            return Err(ControlError::invalid(format!(
                "seconds must be 0 to {FARTHEST}"
            )));
        }
        self.advance((seconds * 1000.0).round() as i64).await;
        Ok(())
    }

    pub(crate) fn accounts(&self, cloud: Option<Cloud>) -> Vec<AccountInfo> {
        let world = self.world();
        let wanted = world
            .accounts
            .values()
            .filter(|a| cloud.is_none_or(|cloud| a.cloud == cloud));
        wanted
            .filter_map(|account| world.account_info(&account.id).ok())
            .collect()
    }

    pub(crate) fn account(&self, cloud: Cloud, name: &str) -> Result<AccountInfo, ControlError> {
        let world = self.world();
        let id = account_id(&world, cloud, name)?;
        world.account_info(&id)
    }

    pub(crate) fn create_account(
        &self,
        cloud: Cloud,
        spec: AccountSpec,
    ) -> Result<AccountInfo, ControlError> {
        self.world().create_account(cloud, spec)
    }

    pub(crate) fn delete_account(&self, cloud: Cloud, name: &str) -> Result<(), ControlError> {
        let mut world = self.world();
        let id = account_id(&world, cloud, name)?;
        world.delete_account(&id);
        Ok(())
    }

    pub(crate) fn set_password(
        &self,
        cloud: Cloud,
        name: &str,
        password: &str,
    ) -> Result<(), ControlError> {
        let mut world = self.world();
        let id = account_id(&world, cloud, name)?;
        account_mut(&mut world, &id)?.password = password.into();
        if cloud == Cloud::Helios {
            world.tokens.revoke_refresh(&id);
        }
        Ok(())
    }

    pub(crate) fn forbid_commands(&self, cloud: Cloud, name: &str) -> Result<(), ControlError> {
        let mut world = self.world();
        let id = account_id(&world, cloud, name)?;
        if cloud != Cloud::Volta {
            return Err(ControlError::invalid("this cloud has no permissions"));
        }
        account_mut(&mut world, &id)?.forbids_commands = true;
        Ok(())
    }

    pub(crate) fn revoke_tokens(&self, cloud: Cloud, name: &str) -> Result<(), ControlError> {
        let mut world = self.world();
        let id = account_id(&world, cloud, name)?;
        world.tokens.revoke_account(&id);
        Ok(())
    }

    pub(crate) fn expire_tokens(&self, cloud: Cloud, name: &str) -> Result<(), ControlError> {
        let mut world = self.world();
        let id = account_id(&world, cloud, name)?;
        world.tokens.expire_access(&id);
        Ok(())
    }

    pub(crate) fn grant_tokens(
        &self,
        cloud: Cloud,
        name: &str,
        client_id: Option<&str>,
    ) -> Result<TokenGrant, ControlError> {
        let mut world = self.world();
        let account = account_id(&world, cloud, name)?;
        let client = match cloud {
            Cloud::Volta => {
                let mut clients = world.clients.iter();
                let client = clients.find(|c| client_id.is_none_or(|id| c.client_id == id));
                Some(
                    client
                        .ok_or(ControlError::NotFound("client"))?
                        .client_id
                        .clone(),
                )
            }
            Cloud::Rivoli | Cloud::Helios => None,
        };
        Ok(login::grant(&mut world, cloud, Grant { account, client }))
    }

    pub(crate) async fn add_device(
        &self,
        cloud: Cloud,
        name: &str,
        kind: DeviceKind,
    ) -> Result<Vec<DeviceInfo>, ControlError> {
        let added = {
            let mut world = self.world();
            let id = account_id(&world, cloud, name)?;
            world.add_device(&id, kind)?
        };
        self.flush_pushes().await;
        Ok(added)
    }

    pub(crate) async fn remove_device(&self, id: &str) -> Result<(), ControlError> {
        self.world().remove_device(id)?;
        self.flush_pushes().await;
        Ok(())
    }

    pub(crate) async fn patch_device(
        &self,
        id: &str,
        patch: &DevicePatch,
    ) -> Result<Value, ControlError> {
        self.world().patch_device(id, patch)?;
        self.flush_pushes().await;
        self.device_truth(id)
    }

    pub(crate) fn device_truth(&self, id: &str) -> Result<Value, ControlError> {
        self.world().device_truth(id)
    }

    pub(crate) async fn add_fault(
        &self,
        cloud: Cloud,
        fault: FaultSpec,
    ) -> Result<FaultInfo, ControlError> {
        let mut added = self.add_script(vec![ScriptEntry { cloud, fault }]).await?;
        added.pop().ok_or(ControlError::NotFound("fault"))
    }

    pub(crate) async fn add_script(
        &self,
        script: Vec<ScriptEntry>,
    ) -> Result<Vec<FaultInfo>, ControlError> {
        let added = self.world().add_faults(script)?;
        self.flush_pushes().await;
        Ok(added)
    }

    pub(crate) fn faults(&self) -> Vec<FaultInfo> {
        let world = self.world();
        let now = world.now();
        world.faults.iter().map(|fault| fault.info(now)).collect()
    }

    pub(crate) async fn drop_fault(&self, id: &str) -> Result<(), ControlError> {
        {
            let mut world = self.world();
            let before = world.faults.len();
            world.faults.retain(|fault| fault.id != id);
            if world.faults.len() == before {
                return Err(ControlError::NotFound("fault"));
            }
            world.settle_faults();
        }
        self.flush_pushes().await;
        Ok(())
    }

    pub(crate) async fn drop_all_faults(&self) {
        {
            let mut world = self.world();
            world.faults.clear();
            world.settle_faults();
        }
        self.flush_pushes().await;
    }
}

impl World {
    /// Adds faults: all of them, or none if one is wrong.
    pub(crate) fn add_faults(
        &mut self,
        script: Vec<ScriptEntry>,
    ) -> Result<Vec<FaultInfo>, ControlError> {
        let now = self.now();
        let mut faults = Vec::new();
        for entry in script {
            if let Some(name) = &entry.fault.account {
                account_id(self, entry.cloud, name)?;
            }
            let id = format!("fault_{}", self.number("fault"));
            faults.push(Fault::new(id, entry, now)?);
        }
        let infos = faults.iter().map(|fault| fault.info(now)).collect();
        self.faults.extend(faults);
        self.settle_faults();
        Ok(infos)
    }
}

fn account_id(world: &World, cloud: Cloud, name: &str) -> Result<String, ControlError> {
    let account = world
        .find_account(cloud, name)
        .ok_or(ControlError::NotFound("account"))?;
    Ok(account.id.clone())
}

fn account_mut<'a>(world: &'a mut World, id: &str) -> Result<&'a mut Account, ControlError> {
    world
        .accounts
        .get_mut(id)
        .ok_or(ControlError::NotFound("account"))
}
