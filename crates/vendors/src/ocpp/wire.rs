//! OCPP-J frames and the fields of OCPP 1.6 payloads: read leniently, written strictly.

use serde_json::{Deserializer, Map, Value, json};

/// Longest frame that is read, bytes. Of a longer one only the head is looked at, for a station
/// repeats a transaction's end until it is answered, however much data it attached.
pub(super) const LONGEST_FRAME: usize = 64 * 1024;

/// Highest accepted number of a connector. A number out of this world must not become a device.
pub(super) const MOST_CONNECTORS: u32 = 64;

/// Error codes of a CALLERROR, as far as we answer with them. One is misspelled by the standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorCode {
    NotImplemented,
    NotSupported,
    FormationViolation,
    PropertyConstraintViolation,
    OccurenceConstraintViolation,
    TypeConstraintViolation,
}

impl ErrorCode {
    const fn as_str(self) -> &'static str {
        match self {
            Self::NotImplemented => "NotImplemented",
            Self::NotSupported => "NotSupported",
            Self::FormationViolation => "FormationViolation",
            Self::PropertyConstraintViolation => "PropertyConstraintViolation",
            Self::OccurenceConstraintViolation => "OccurenceConstraintViolation",
            Self::TypeConstraintViolation => "TypeConstraintViolation",
        }
    }

    const fn description(self) -> &'static str {
        match self {
            Self::NotImplemented => "unknown action",
            Self::NotSupported => "this action is not for a central system",
            Self::FormationViolation => "the frame or its payload is not well-formed",
            Self::PropertyConstraintViolation => "a field has a value that is not permitted",
            Self::OccurenceConstraintViolation => "a required field is missing",
            Self::TypeConstraintViolation => "a field has the wrong type",
        }
    }
}

/// What a charge point may ask of a central system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Authorize,
    BootNotification,
    DataTransfer,
    DiagnosticsStatusNotification,
    FirmwareStatusNotification,
    Heartbeat,
    LogStatusNotification,
    MeterValues,
    SecurityEventNotification,
    SignCertificate,
    SignedFirmwareStatusNotification,
    StartTransaction,
    StatusNotification,
    StopTransaction,
}

const ACTIONS: [(&str, Action); 14] = [
    ("Authorize", Action::Authorize),
    ("BootNotification", Action::BootNotification),
    ("DataTransfer", Action::DataTransfer),
    (
        "DiagnosticsStatusNotification",
        Action::DiagnosticsStatusNotification,
    ),
    (
        "FirmwareStatusNotification",
        Action::FirmwareStatusNotification,
    ),
    ("Heartbeat", Action::Heartbeat),
    ("LogStatusNotification", Action::LogStatusNotification),
    ("MeterValues", Action::MeterValues),
    (
        "SecurityEventNotification",
        Action::SecurityEventNotification,
    ),
    ("SignCertificate", Action::SignCertificate),
    (
        "SignedFirmwareStatusNotification",
        Action::SignedFirmwareStatusNotification,
    ),
    ("StartTransaction", Action::StartTransaction),
    ("StatusNotification", Action::StatusNotification),
    ("StopTransaction", Action::StopTransaction),
];

/// What only a central system may ask of a charge point.
const ACTIONS_OF_OURS: [&str; 25] = [
    "CancelReservation",
    "CertificateSigned",
    "ChangeAvailability",
    "ChangeConfiguration",
    "ClearCache",
    "ClearChargingProfile",
    "DeleteCertificate",
    "ExtendedTriggerMessage",
    "GetCompositeSchedule",
    "GetConfiguration",
    "GetDiagnostics",
    "GetInstalledCertificateIds",
    "GetLocalListVersion",
    "GetLog",
    "InstallCertificate",
    "RemoteStartTransaction",
    "RemoteStopTransaction",
    "ReserveNow",
    "Reset",
    "SendLocalList",
    "SetChargingProfile",
    "SignedUpdateFirmware",
    "TriggerMessage",
    "UnlockConnector",
    "UpdateFirmware",
];

impl Action {
    /// The action of a name.
    ///
    /// # Errors
    /// The code to answer with if there is no such action, or it is not for us.
    pub(super) fn of(name: &str) -> Result<Self, ErrorCode> {
        let is_ours = |known: &str| known.eq_ignore_ascii_case(name);
        match ACTIONS
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
        {
            Some((_, action)) => Ok(*action),
            None if ACTIONS_OF_OURS.into_iter().any(is_ours) => Err(ErrorCode::NotSupported),
            None => Err(ErrorCode::NotImplemented),
        }
    }

    /// Whether a station repeats it until it gets a result: such a call is never refused.
    pub(super) const fn is_transaction(self) -> bool {
        matches!(self, Self::StartTransaction | Self::StopTransaction)
    }
}

/// A frame from a charge point.
#[derive(Debug, PartialEq)]
pub(super) enum Frame {
    /// It asks something. The payload is null if it has none.
    Call {
        id: Value,
        action: String,
        payload: Value,
    },
    /// It asks something, but only the head of the frame can be read.
    CutCall {
        id: Value,
        action: Option<String>,
        why: &'static str,
    },
    /// It answers a call of ours.
    Result { id: String, payload: Value },
    /// It refuses a call of ours.
    Error {
        id: String,
        code: String,
        description: String,
    },
    /// There is nothing to answer to.
    Nonsense(&'static str),
}

impl Frame {
    /// Reads a frame.
    pub(super) fn read(text: &str) -> Self {
        if text.len() > LONGEST_FRAME {
            return Self::read_head(text, "frame=tooLong");
        }
        match serde_json::from_str(text) {
            Ok(Value::Array(items)) => Self::of_items(items),
            Ok(_) => Self::Nonsense("frame=notAnArray"),
            Err(_) => Self::read_head(text, "frame=notJson"),
        }
    }

    fn of_items(items: Vec<Value>) -> Self {
        let mut items = items.into_iter();
        let mut next = || items.next().unwrap_or(Value::Null);
        let (kind, id) = (next(), next());
        if !is_id(&id) {
            return Self::Nonsense("frame=noId");
        }
        match number_of(&kind).unwrap_or_default() {
            2.0 => match next() {
                Value::String(action) => Self::Call {
                    id,
                    action,
                    payload: next(),
                },
                _ => Self::CutCall {
                    id,
                    action: None,
                    why: "frame=noAction",
                },
            },
            3.0 => Self::Result {
                id: plain(&id),
                payload: next(),
            },
            4.0 => Self::Error {
                id: plain(&id),
                code: plain(&next()),
                description: plain(&next()),
            },
            _ => Self::Nonsense("frame=unknownType"),
        }
    }

    /// As much as can be said of a frame that cannot be read as a whole.
    fn read_head(text: &str, why: &'static str) -> Self {
        let Some(rest) = text.trim_start().strip_prefix('[') else {
            return Self::Nonsense(why);
        };
        match item(rest) {
            Some((kind, rest)) if number_of(&kind) == Some(2.0) => match item(rest) {
                Some((id, rest)) if is_id(&id) => {
                    let action = item(rest).and_then(|(action, _)| action.as_str().map(Into::into));
                    Self::CutCall { id, action, why }
                }
                _ => Self::Nonsense(why),
            },
            _ => Self::Nonsense(why),
        }
    }
}

/// The first item of a list's inside, and what follows its comma.
fn item(text: &str) -> Option<(Value, &str)> {
    let mut items = Deserializer::from_str(text).into_iter::<Value>();
    let first = items.next()?.ok()?;
    let rest = text
        .get(items.byte_offset()..)?
        .trim_start()
        .strip_prefix(',')?;
    Some((first, rest))
}

/// IDs are texts; numbers are given back as they came, for the station looks for what it sent.
const fn is_id(id: &Value) -> bool {
    matches!(id, Value::String(_) | Value::Number(_))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A CALL.
pub(super) fn call(id: &str, action: &str, payload: &Value) -> String {
    json!([2, id, action, payload]).to_string()
}

/// A CALLRESULT.
pub(super) fn result(id: &Value, payload: &Value) -> String {
    json!([3, id, payload]).to_string()
}

/// A CALLERROR.
pub(super) fn error(id: &Value, code: ErrorCode) -> String {
    json!([4, id, code.as_str(), code.description(), {}]).to_string()
}

/// The fields of a payload, or of an object in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(Option<&'a Map<String, Value>>);

impl<'a> Fields<'a> {
    /// No fields at all.
    pub(super) const NONE: Self = Self(None);

    /// The fields of an object; null counts as one without fields.
    pub(super) const fn of(value: &'a Value) -> Option<Self> {
        match value {
            Value::Object(fields) => Some(Self(Some(fields))),
            Value::Null => Some(Self(None)),
            _ => None,
        }
    }

    fn get(self, name: &str) -> Option<&'a Value> {
        self.0?.get(name).filter(|value| !value.is_null())
    }

    /// A text that is not empty; numbers count as their text.
    pub(super) fn text(self, name: &str) -> Option<String> {
        match self.get(name)? {
            Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// A number; texts that hold one count as it.
    pub(super) fn number(self, name: &str) -> Option<f64> {
        self.get(name).and_then(number_of)
    }

    /// A whole number of 31 bits.
    pub(super) fn whole(self, name: &str) -> Result<i32, ErrorCode> {
        let value = self
            .get(name)
            .ok_or(ErrorCode::OccurenceConstraintViolation)?;
        let number = number_of(value).ok_or(ErrorCode::TypeConstraintViolation)?;
        let is_fit = number.fract() == 0.0 && (0.0..=f64::from(i32::MAX)).contains(&number);
        if is_fit {
            Ok(number as i32)
        } else {
            Err(ErrorCode::PropertyConstraintViolation)
        }
    }

    /// `connectorId`; 0 is the station as a whole.
    pub(super) fn connector(self) -> Result<u32, ErrorCode> {
        let number = self.whole("connectorId")?.unsigned_abs();
        if number <= MOST_CONNECTORS {
            Ok(number)
        } else {
            Err(ErrorCode::PropertyConstraintViolation)
        }
    }

    /// A required word.
    pub(super) fn word(self, name: &str) -> Result<String, ErrorCode> {
        match (self.text(name), self.get(name)) {
            (Some(word), _) => Ok(word),
            (None, Some(Value::String(_)) | None) => Err(ErrorCode::OccurenceConstraintViolation),
            (None, Some(_)) => Err(ErrorCode::TypeConstraintViolation),
        }
    }

    /// The objects of a list; an object where a list is due counts as a list of one.
    pub(super) fn list(self, name: &str) -> impl Iterator<Item = Self> {
        let items: &'a [Value] = match self.get(name) {
            Some(Value::Array(items)) => items,
            Some(value @ Value::Object(_)) => std::slice::from_ref(value),
            _ => &[],
        };
        items
            .iter()
            .filter_map(|item| item.as_object().map(|fields| Self(Some(fields))))
    }
}

fn number_of(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().replacen(',', ".", 1).parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}
