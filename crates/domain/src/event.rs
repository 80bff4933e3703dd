//! Events: the entries of the log, rendered once as the contract prints them.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    API_VERSION,
    action::Action,
    device::{Device, Document},
    diff::changed_paths,
    energy::Bucket,
    entropy::Entropy,
    hem::HemSystem,
    id::{ClientId, DeviceId, EventId, UserId},
    kind::DeviceKind,
    production::{InverterStatistics, Production},
    schedule::{Schedule, ScheduleStatus},
    smart::Smart,
    time::wire,
    vendor::VendorName,
};

/// What happened to a device, or to a HEM system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceEvent {
    /// Found for the first time.
    Discovered,
    /// Its stored state changed.
    Updated,
    /// Gone from its account.
    Deleted,
}

impl DeviceEvent {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Discovered => "discovered",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        }
    }
}

/// The name of an event about a device, for example `user:vehicle:updated`.
pub fn device_event_name(kind: DeviceKind, what: DeviceEvent) -> String {
    format!("user:{kind}:{}", what.suffix())
}

/// The name of an event about a HEM system, for example `user:hem-system:updated`.
pub fn hem_event_name(what: DeviceEvent) -> String {
    format!("user:hem-system:{}", what.suffix())
}

/// An action was made, or became something else.
pub const ACTION_UPDATED: &str = "user:vendor-action:updated";
/// How a device stands to its schedule changed.
pub const SCHEDULE_EXECUTED: &str = "user:schedule:execution-updated";
/// The smart charging of a vehicle stands otherwise.
pub const SMART_UPDATED: &str = "user:vehicle:smart-charging-status-updated";
/// Dead credentials of a vendor account.
pub const CREDENTIALS_INVALIDATED: &str = "user:credentials:invalidated";
/// What flowed to or from a device in the past turned out otherwise. Not an event of the contract.
pub const ENERGY_RESTATED: &str = "user:energy:restated";
/// What an inverter produced in a day or a month is known, or known otherwise than before.
pub const STATISTICS_UPDATED: &str = "user:inverter:statistics-updated";
/// Sent to every webhook from time to time; not part of the log.
pub const HEARTBEAT: &str = "system:heartbeat";
/// Sent when a webhook is tested; not part of the log.
pub const WEBHOOK_TEST: &str = "enode:webhook:test";

/// An entry of the event log.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Identifier.
    pub id: EventId,
    /// The customer it belongs to.
    pub client_id: ClientId,
    /// The user it is about.
    pub user_id: UserId,
    /// The device it is about, and the version that the device has by it.
    pub device: Option<(DeviceId, u64)>,
    /// Its name.
    pub name: String,
    /// When it came about.
    pub created_at: Timestamp,
    /// The JSON object that is delivered, rendered.
    pub body: String,
}

/// Makes events of one moment.
#[derive(Debug, Clone, Copy)]
pub struct EventMaker<'a> {
    /// The moment.
    pub now: Timestamp,
    /// Where IDs come from.
    pub entropy: &'a dyn Entropy,
}

impl EventMaker<'_> {
    /// A device was found. Its version must be 1.
    pub fn discovered(&self, device: &Device) -> Event {
        self.of_device(
            device,
            DeviceEvent::Discovered,
            &device.document,
            device.version,
            None,
        )
    }

    /// A device's stored state changed to its present document and version.
    pub fn updated(&self, device: &Device, updated_fields: &[String]) -> Event {
        self.of_device(
            device,
            DeviceEvent::Updated,
            &device.document,
            device.version,
            Some(updated_fields),
        )
    }

    /// A device is gone; shows it as it last was.
    pub fn deleted(&self, device: &Device) -> Event {
        let last = device.current_document();
        self.of_device(
            device,
            DeviceEvent::Deleted,
            &last,
            device.version + 1,
            None,
        )
    }

    /// A HEM system was found. Its version must be 1.
    pub fn hem_discovered(&self, system: &HemSystem) -> Event {
        self.of_hem_system(
            system,
            DeviceEvent::Discovered,
            json!(system.document),
            None,
        )
    }

    /// A HEM system changed to its present document and version.
    pub fn hem_updated(&self, system: &HemSystem, updated_fields: &[String]) -> Event {
        let document = json!(system.document);
        self.of_hem_system(system, DeviceEvent::Updated, document, Some(updated_fields))
    }

    /// A HEM system is gone; shows it as it last was.
    pub fn hem_deleted(&self, system: &HemSystem) -> Event {
        let last = json!(system.current(None, self.now));
        self.of_hem_system(system, DeviceEvent::Deleted, last, None)
    }

    /// The vendor no longer accepts the credentials of one of the user's accounts.
    pub fn credentials_invalidated(
        &self,
        client_id: ClientId,
        user_id: &UserId,
        vendor: &VendorName,
    ) -> Event {
        let mut body = self.envelope(CREDENTIALS_INVALIDATED);
        body.insert("user".into(), json!({ "id": user_id }));
        body.insert("vendor".into(), json!(vendor));
        self.event(
            client_id,
            user_id,
            None,
            CREDENTIALS_INVALIDATED.to_owned(),
            body,
        )
    }

    /// An action became what it is from what it was; new if it was nothing. `None` if nothing that is
    /// told of actions changed.
    pub fn action_updated(&self, action: &Action, before: Option<&Action>) -> Option<Event> {
        let members = |action: &Action| match json!(action.document()) {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        let now = members(action);
        let before = before.map(members).unwrap_or_default();
        let updated_fields = changed_paths(&before, &now);
        if updated_fields.is_empty() {
            return None;
        }
        let mut body = self.envelope(ACTION_UPDATED);
        body.insert("user".into(), json!({ "id": action.user_id }));
        body.insert("vendorAction".into(), Value::Object(now));
        body.insert("updatedFields".into(), json!(updated_fields));
        Some(self.event(
            action.client_id,
            &action.user_id,
            None,
            ACTION_UPDATED.to_owned(),
            body,
        ))
    }

    /// How a device stands to its schedule became what it is from what it was; new if it was nothing.
    /// `None` if nothing changed.
    pub fn schedule_executed(
        &self,
        schedule: &Schedule,
        status: &ScheduleStatus,
        before: Option<&ScheduleStatus>,
    ) -> Option<Event> {
        let now = status.members();
        let before = before.map(ScheduleStatus::members).unwrap_or_default();
        let updated_fields = changed_paths(&before, &now);
        if updated_fields.is_empty() {
            return None;
        }
        let mut body = self.envelope(SCHEDULE_EXECUTED);
        body.insert("user".into(), json!({ "id": schedule.user_id }));
        body.insert("schedule".into(), json!(schedule.document()));
        body.insert("status".into(), Value::Object(now));
        body.insert("updatedFields".into(), json!(updated_fields));
        Some(self.event(
            schedule.client_id,
            &schedule.user_id,
            None,
            SCHEDULE_EXECUTED.to_owned(),
            body,
        ))
    }

    /// The smart charging of a vehicle became what it is from what it was. `None` if nothing changed but
    /// when it was last looked at.
    pub fn smart_updated(&self, device: &Device, before: &Smart, now: &Smart) -> Option<Event> {
        if device.kind() != DeviceKind::Vehicle {
            return None;
        }
        let members = |smart: &Smart| match json!(smart.document(device)) {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        let now = members(now);
        let updated_fields = changed_paths(&members(before), &now);
        if updated_fields.iter().all(|path| path == "updatedAt") {
            return None;
        }
        let mut body = self.envelope(SMART_UPDATED);
        body.insert("user".into(), json!({ "id": device.user_id }));
        body.insert("smartChargingStatus".into(), Value::Object(now));
        body.insert("updatedFields".into(), json!(updated_fields));
        Some(self.event(
            device.client_id,
            &device.user_id,
            None,
            SMART_UPDATED.to_owned(),
            body,
        ))
    }

    /// Quarter hours of a device that had been over turned out otherwise.
    pub fn energy_restated(&self, device: &Device, buckets: &[Bucket]) -> Event {
        let kind = device.kind();
        let quarters = buckets.iter().filter_map(|bucket| {
            Some(json!({
                "flow": bucket.flow.name(kind)?,
                "date": wire(bucket.start),
                "kwh": bucket.sum.kwh,
                "reason": bucket.restated?.name(),
            }))
        });
        let mut body = self.envelope(ENERGY_RESTATED);
        body.insert("user".into(), json!({ "id": device.user_id }));
        body.insert(
            "energy".into(),
            json!({
                "deviceId": device.id,
                "kind": kind,
                "quarters": quarters.collect::<Value>(),
            }),
        );
        self.event(
            device.client_id,
            &device.user_id,
            None,
            ENERGY_RESTATED.to_owned(),
            body,
        )
    }

    /// What an inverter produced in a period is known, or known otherwise than before.
    pub fn production_updated(&self, device: &Device, production: &Production) -> Event {
        let Production { period, .. } = production;
        let InverterStatistics {
            timezone,
            resolutions,
        } = production.statistics();
        let series: Map<String, Value> = resolutions
            .into_iter()
            .map(|(resolution, series)| (resolution.name().to_owned(), json!(series)))
            .collect();
        let mut body = self.envelope(STATISTICS_UPDATED);
        body.insert("user".into(), json!({ "id": device.user_id }));
        body.insert(
            "statistics".into(),
            json!({
                "inverterId": device.id,
                "year": period.year(),
                "month": period.month(),
                "day": period.day(),
                "timezone": timezone,
                "resolutions": series,
            }),
        );
        self.event(
            device.client_id,
            &device.user_id,
            None,
            STATISTICS_UPDATED.to_owned(),
            body,
        )
    }

    /// The JSON of a heartbeat; `pending_events` is the number of events still queued.
    pub fn heartbeat(&self, pending_events: u64) -> String {
        let mut body = self.envelope(HEARTBEAT);
        body.insert("pendingEvents".into(), pending_events.into());
        Value::Object(body).to_string()
    }

    /// The JSON of a webhook test.
    pub fn webhook_test(&self) -> String {
        Value::Object(self.envelope(WEBHOOK_TEST)).to_string()
    }

    fn of_device(
        &self,
        device: &Device,
        what: DeviceEvent,
        document: &Document,
        version: u64,
        updated_fields: Option<&[String]>,
    ) -> Event {
        let name = device_event_name(device.kind(), what);
        let mut body = self.envelope(&name);
        body.insert("user".into(), json!({ "id": device.user_id }));
        body.insert(
            device.kind().name().into(),
            Value::Object(document.as_map().clone()),
        );
        if let Some(fields) = updated_fields {
            body.insert("updatedFields".into(), json!(fields));
        }
        let about = Some((device.id, version));
        self.event(device.client_id, &device.user_id, about, name, body)
    }

    fn of_hem_system(
        &self,
        system: &HemSystem,
        what: DeviceEvent,
        document: Value,
        updated_fields: Option<&[String]>,
    ) -> Event {
        let name = hem_event_name(what);
        let mut body = self.envelope(&name);
        body.insert("user".into(), json!({ "id": system.user_id }));
        body.insert("hemSystem".into(), document);
        if let Some(fields) = updated_fields {
            body.insert("updatedFields".into(), json!(fields));
        }
        self.event(system.client_id, &system.user_id, None, name, body)
    }

    fn envelope(&self, name: &str) -> Map<String, Value> {
        let mut body = Map::new();
        body.insert("event".into(), name.into());
        body.insert("createdAt".into(), wire(self.now).into());
        body.insert("version".into(), API_VERSION.into());
        body
    }

    fn event(
        &self,
        client_id: ClientId,
        user_id: &UserId,
        device: Option<(DeviceId, u64)>,
        name: String,
        body: Map<String, Value>,
    ) -> Event {
        Event {
            id: EventId::new(self.now, self.entropy),
            client_id,
            user_id: user_id.clone(),
            device,
            name,
            created_at: self.now,
            body: Value::Object(body).to_string(),
        }
    }
}
