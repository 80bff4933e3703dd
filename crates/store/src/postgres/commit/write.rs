//! One transaction for a group of units: rows are locked first, all in the same order everywhere
//! (partitions, users, accounts, devices, actions, schedules, smart charging, HEM systems, sessions,
//! heads of the log; by ID within each), then it is decided which units may be written, then each
//! table is written by one statement.

use std::collections::{BTreeSet, HashMap};

use livewatt_domain::{
    device::Device,
    id::{ActionId, DeviceId, HemSystemId, ScheduleId},
    webhook::Position,
};
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::Context;
use crate::{
    actions::ActionChange,
    error::{StoreError, StoreResult},
    hem::HemChange,
    postgres::{
        accounts, actions,
        devices::{self, Locked},
        energy, fences, hem, letters, links, log,
        open::SLICE_LOCKS,
        past, production, schedules, smart,
        statement::{begin_with, commit},
    },
    schedules::ScheduleChange,
    types::{AccountChange, DeviceChange, Fence, UnitOfWork},
};

/// How often slices are assigned anew before it is given up. One that is dropped or begun in
/// between is rare; several in a row would be servers whose clocks differ by days.
const MOST_ASSIGNMENTS: u32 = 8;

type Results = Vec<StoreResult<Option<Position>>>;

/// Writes a group; says of each unit how it went. Fails if the transaction did.
pub(super) async fn write(context: &Context, units: &[&UnitOfWork]) -> StoreResult<Results> {
    context.sample_days.make(&context.pool, units).await?;
    for _ in 0..MOST_ASSIGNMENTS {
        let events: Vec<_> = units.iter().flat_map(|unit| &unit.events).collect();
        let slices = context.slices.assign(&context.pool, &events).await?;
        let attempted = attempt(context, units, &slices).await.inspect_err(|_| {
            // Perhaps another node has dropped a day of samples that was thought to be there.
            context.sample_days.forget();
        })?;
        if let Some(results) = attempted {
            return Ok(results);
        }
        context.slices.forget();
    }
    Err(StoreError::Unusable {
        action: "written",
        source: "the event log goes from day to day and back: do the servers' clocks differ?"
            .into(),
    })
}

/// `None` if the slices are not the right ones any more; nothing is written then.
async fn attempt(
    context: &Context,
    units: &[&UnitOfWork],
    slices: &[i64],
) -> StoreResult<Option<Results>> {
    let mut transaction = begin_with(&context.pool, begin(slices)).await?;
    let mut decision = Decision::take(&mut transaction, units).await?;
    let (mut events, mut slices_of_events, mut owners) = (Vec::new(), Vec::new(), Vec::new());
    let mut slice = slices.iter();
    for (index, unit) in units.iter().enumerate() {
        for event in &unit.events {
            let slice = slice.next().copied().unwrap_or_default();
            if decision.results[index].is_ok() {
                events.push(event);
                slices_of_events.push(slice);
                owners.push(index);
            }
        }
    }
    let good = || {
        let accepted = units.iter().zip(&decision.results);
        accepted
            .filter(|(_, result)| result.is_ok())
            .map(|(unit, _)| *unit)
    };
    write_rows(&mut transaction, good, &decision.devices).await?;
    if !events.is_empty() {
        let appended = log::append(&mut transaction, &events, &slices_of_events).await?;
        let Ok(positions) = appended else {
            return Ok(None);
        };
        for (owner, position) in owners.into_iter().zip(positions) {
            decision.results[owner] = Ok(Some(position));
        }
    }
    commit(transaction).await?;
    Ok(Some(decision.results))
}

/// Begins a transaction, in the same trip to the server with a share in the slices it appends to.
fn begin(slices: &[i64]) -> AssertSqlSafe<String> {
    let slices: BTreeSet<_> = slices.iter().collect();
    let locks = slices
        .iter()
        .map(|slice| format!("; select pg_advisory_xact_lock_shared({SLICE_LOCKS}, {slice})"));
    AssertSqlSafe(format!("begin{}", locks.collect::<String>()))
}

/// Which units may be written, decided while everything they build on is locked.
struct Decision {
    /// An error for those that may not.
    results: Results,
    /// The devices that are there.
    devices: HashMap<DeviceId, Locked>,
}

impl Decision {
    async fn take(connection: &mut PgConnection, units: &[&UnitOfWork]) -> StoreResult<Self> {
        let needed: BTreeSet<u16> = units
            .iter()
            .filter_map(|unit| Some(unit.fence?.partition))
            .collect();
        let fences = fences::hold(connection, needed).await?;
        let fenced = |unit: &UnitOfWork| {
            let Fence { partition, number } = unit.fence?;
            (fences.get(&partition) != Some(&number)).then_some(partition)
        };
        let own: Vec<_> = units
            .iter()
            .copied()
            .filter(|unit| fenced(unit).is_none())
            .collect();
        let accounts = lock_accounts(connection, &own).await?;
        let changes = own.iter().flat_map(|unit| &unit.devices);
        let known = changes.filter_map(|change| Some(change.builds_on()?.0));
        // What is begun for a device locks it anyway, but out of turn.
        let begun = own.iter().flat_map(|unit| &unit.smart);
        let begun = begun.filter(|change| change.from_revision.is_none());
        let known = known.chain(begun.map(|change| change.device_id));
        let targets = own.iter().flat_map(|unit| &unit.schedules);
        let known = known.chain(targets.filter_map(|change| change.needs()));
        let known: BTreeSet<Uuid> = known.map(|id| id.0).collect();
        let devices = match known.is_empty() {
            true => HashMap::new(),
            false => devices::lock(connection, known.into_iter().collect()).await?,
        };
        let builds_on = own.iter().flat_map(|unit| &unit.actions);
        let revisions = builds_on.filter_map(|change| change.builds_on());
        let revisions = revisions.map(|(id, _)| id.0).collect();
        let revisions = actions::lock(connection, revisions).await?;
        let builds_on = own.iter().flat_map(|unit| &unit.schedules);
        let scheduled = builds_on.filter_map(|change| change.builds_on());
        let scheduled = scheduled.map(|(id, _)| id.0).collect();
        let scheduled = schedules::lock(connection, scheduled).await?;
        let changes = own.iter().flat_map(|unit| &unit.smart);
        let changes = changes.filter(|change| change.from_revision.is_some());
        let smart = changes.map(|change| change.device_id.0).collect();
        let smart = smart::lock(connection, smart).await?;
        let changes = || own.iter().flat_map(|unit| &unit.hem_systems);
        let known: Vec<_> = changes().filter_map(HemChange::builds_on).collect();
        let systems = match known.is_empty() {
            true => HashMap::new(),
            false => {
                let ids = known.iter().map(|(id, _)| id.0).collect();
                hem::lock(connection, ids).await?
            }
        };
        let sessions: Vec<_> = own.iter().flat_map(|unit| &unit.link_session).collect();
        let sessions = match sessions.is_empty() {
            true => HashMap::new(),
            false => {
                let ids = sessions.iter().map(|(id, _)| id.0).collect();
                links::lock(connection, ids).await?
            }
        };
        let is_late = |unit: &UnitOfWork| {
            let mut changes = unit.devices.iter();
            let mut actions = unit.actions.iter();
            let mut programs = unit.schedules.iter();
            let mut charging = unit.smart.iter();
            let mut built_on = unit.hem_systems.iter().filter_map(HemChange::builds_on);
            let mut session = unit.link_session.iter();
            let mut saved = unit.accounts.iter();
            saved.any(|change| is_replaced(change, &accounts))
                || changes.any(|change| is_late(change, &devices))
                || actions.any(|change| {
                    let known = change.builds_on();
                    known.is_some_and(|(id, revision)| revisions.get(&id.0) != Some(&revision))
                })
                || programs.any(|change| {
                    let known = change.builds_on();
                    let is_gone = change.needs().is_some_and(|id| !devices.contains_key(&id));
                    is_gone
                        || known
                            .is_some_and(|(id, revision)| scheduled.get(&id.0) != Some(&revision))
                })
                || charging.any(|change| {
                    let revision = change.from_revision;
                    revision.is_some() && smart.get(&change.device_id.0).copied() != revision
                })
                || built_on.any(|(id, version)| systems.get(&id) != Some(&version))
                || session.any(|(id, _)| sessions.get(&id.0) != Some(&false))
        };
        let results = units.iter().map(|unit| {
            if let Some(partition) = fenced(unit) {
                Err(StoreError::Fenced { partition })
            } else if is_late(unit) {
                Err(StoreError::Conflict)
            } else {
                Ok(None)
            }
        });
        Ok(Self {
            results: results.collect(),
            devices,
        })
    }
}

/// Whether an account's credentials are not those it was read with.
fn is_replaced(change: &AccountChange, stored: &HashMap<Uuid, u64>) -> bool {
    match change {
        AccountChange::Save {
            account,
            from_credentials,
            ..
        } => stored.get(&account.id.0) != from_credentials.as_ref(),
        AccountChange::Delete(_) => false,
    }
}

/// Whether a device is not as the change presumes.
fn is_late(change: &DeviceChange, stored: &HashMap<DeviceId, Locked>) -> bool {
    let Some((id, version)) = change.builds_on() else {
        return false;
    };
    let is_as_presumed = |locked: &Locked| {
        let is_same_client = match change {
            DeviceChange::Update { device, .. } => device.client_id == locked.client_id,
            DeviceChange::Insert(_) | DeviceChange::Delete { .. } => true,
        };
        is_same_client && locked.version == version
    };
    !stored.get(&id).is_some_and(is_as_presumed)
}

async fn lock_accounts(
    connection: &mut PgConnection,
    units: &[&UnitOfWork],
) -> StoreResult<HashMap<Uuid, u64>> {
    let mut users = Vec::new();
    let mut ids: BTreeSet<Uuid> = BTreeSet::new();
    for unit in units {
        for change in &unit.accounts {
            match change {
                AccountChange::Save { account, .. } => {
                    users.push((account.client_id, &account.user_id));
                    ids.insert(account.id.0);
                }
                AccountChange::Delete(id) => {
                    ids.insert(id.0);
                }
            }
        }
        for change in &unit.actions {
            if let ActionChange::Insert { action, .. } = change {
                users.push((action.client_id, &action.user_id));
            }
        }
        for change in &unit.schedules {
            if let ScheduleChange::Insert(schedule) = change {
                users.push((schedule.client_id, &schedule.user_id));
            }
        }
        // An account that gets a device is locked by the server anyway, but out of turn.
        ids.extend(unit.devices.iter().filter_map(|change| match change {
            DeviceChange::Insert(device) => Some(device.account_id.0),
            DeviceChange::Update { .. } | DeviceChange::Delete { .. } => None,
        }));
        ids.extend(unit.hem_systems.iter().filter_map(|change| match change {
            HemChange::Insert(system) => Some(system.account_id.0),
            HemChange::Update { .. } | HemChange::Delete { .. } => None,
        }));
    }
    accounts::lock(connection, &users, ids.into_iter().collect()).await
}

/// Accounts are deleted last, since their devices go with them: a unit may also name the devices.
/// Devices go before others take their place.
async fn write_rows<'a, I: Iterator<Item = &'a UnitOfWork>>(
    connection: &mut PgConnection,
    units: impl Fn() -> I,
    stored: &HashMap<DeviceId, Locked>,
) -> StoreResult<()> {
    let changes: Vec<_> = units().flat_map(|unit| &unit.accounts).collect();
    accounts::save(connection, &changes).await?;
    let (mut inserted, mut updated, mut deleted) = (Vec::new(), Vec::new(), Vec::new());
    for change in units().flat_map(|unit| &unit.devices) {
        match change {
            DeviceChange::Insert(device) => inserted.push(device),
            DeviceChange::Update { device, .. } => updated.push(device),
            DeviceChange::Delete { id, at, .. } => deleted.push((id.0, *at)),
        }
    }
    if !deleted.is_empty() {
        past::note(connection, &deleted).await?;
        let deleted = deleted.into_iter().map(|(id, _)| id).collect();
        devices::delete(connection, deleted).await?;
    }
    if !updated.is_empty() {
        let has_moved = |device: &&Device| {
            let stored = stored.get(&device.id);
            stored.is_none_or(|stored| stored.identity != devices::Identity::from(*device))
        };
        let moved: Vec<_> = updated.iter().copied().filter(has_moved).collect();
        devices::update(connection, &updated, &moved).await?;
    }
    if !inserted.is_empty() {
        devices::insert(connection, &inserted).await?;
    }
    let acts: Vec<_> = units().flat_map(|unit| &unit.actions).collect();
    actions::save(connection, &acts).await?;
    let scheduled: Vec<_> = units().flat_map(|unit| &unit.schedules).collect();
    schedules::save(connection, &scheduled).await?;
    let charging: Vec<_> = units().flat_map(|unit| &unit.smart).collect();
    smart::save(connection, &charging).await?;
    let histories: Vec<_> = units().flat_map(|unit| &unit.histories).collect();
    energy::save(connection, &histories).await?;
    let productions: Vec<_> = units().flat_map(|unit| &unit.productions).collect();
    production::save(connection, &productions).await?;
    let systems: Vec<_> = units().flat_map(|unit| &unit.hem_systems).collect();
    hem::save(connection, &systems).await?;
    let records: Vec<_> = units().flat_map(|unit| &unit.hem_records).collect();
    hem::save_records(connection, &records).await?;
    let gone: Vec<_> = changes
        .iter()
        .filter_map(|change| match change {
            AccountChange::Delete(id) => Some(id.0),
            AccountChange::Save { .. } => None,
        })
        .collect();
    if !gone.is_empty() {
        accounts::delete(connection, gone).await?;
    }
    let states: Vec<_> = units().flat_map(|unit| &unit.link_session).collect();
    if !states.is_empty() {
        links::save_states(connection, &states).await?;
    }
    let letters: Vec<_> = units().flat_map(|unit| &unit.letter).collect();
    letters::insert(connection, &letters).await?;
    Ok(())
}

impl ActionChange {
    /// The action that must be there, and its revision.
    const fn builds_on(&self) -> Option<(ActionId, u64)> {
        match self {
            Self::Insert { .. } => None,
            Self::Update {
                action,
                from_revision,
                ..
            } => Some((action.id, *from_revision)),
        }
    }
}

impl ScheduleChange {
    /// The schedule that must be there, and its revision.
    const fn builds_on(&self) -> Option<(ScheduleId, u64)> {
        match self {
            Self::Insert(_) => None,
            Self::Update {
                schedule,
                from_revision,
                ..
            }
            | Self::Delete {
                schedule,
                from_revision,
            } => Some((schedule.id, *from_revision)),
        }
    }

    /// The device that must be there.
    const fn needs(&self) -> Option<DeviceId> {
        match self {
            Self::Insert(schedule) | Self::Update { schedule, .. } => Some(schedule.target_id),
            Self::Delete { .. } => None,
        }
    }
}

impl DeviceChange {
    /// The device that must be there, and its version.
    const fn builds_on(&self) -> Option<(DeviceId, u64)> {
        match self {
            Self::Insert(_) => None,
            Self::Update {
                device,
                from_version,
            } => Some((device.id, *from_version)),
            Self::Delete {
                id, from_version, ..
            } => Some((*id, *from_version)),
        }
    }
}

impl HemChange {
    /// The HEM system that must be there, and its version.
    const fn builds_on(&self) -> Option<(HemSystemId, u64)> {
        match self {
            Self::Insert(_) => None,
            Self::Update {
                system,
                from_version,
            } => Some((system.id, *from_version)),
            Self::Delete { id, from_version } => Some((*id, *from_version)),
        }
    }
}
