//! The table of operations: the router and the OpenAPI document are both made of it.
//!
//! Names and paths are the contract's. The operations of the six kinds are rows written once, with
//! the kind as data; only their operation IDs differ in ways that no rule explains.

mod actions;
mod hem;
mod interventions;
mod kinds;
mod places;
mod rows;
mod schedules;
mod smart;

use axum::{http::Method, routing::MethodRouter};
use livewatt_domain::kind::DeviceKind;

use crate::state::ApiState;
use hem::hem_rows;
use interventions::intervention_rows;
use kinds::{device_rows, health_row, names};
use places::{location_rows, pricing_rows, tariff_rows};
use rows::{
    event_rows, freshness_rows, intake_rows, service_rows, statistics_rows, token_rows, user_rows,
    webhook_rows,
};
use schedules::schedule_rows;

/// How callers prove themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// An access token.
    Bearer,
    /// An access token makes no difference.
    Optional,
    /// Anybody may call.
    None,
    /// ID and secret.
    Basic,
    /// The vendor's signature.
    Signature,
}

/// A query parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// What it may be.
    pub kind: QueryKind,
    /// Whether nothing is answered without it.
    pub is_required: bool,
}

/// What a query parameter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryKind {
    /// Any text.
    Text,
    /// A whole number; an example of one.
    Integer(&'static str),
    /// A moment of RFC 3339; an example of one.
    Moment(&'static str),
    /// A day or a month; an example of one.
    Interval(&'static str),
    /// One of these.
    Choice(&'static [&'static str]),
}

/// What an answer or a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Nothing.
    Empty,
    /// JSON of this schema.
    Json(&'static str),
    /// A problem document that says that it is one.
    Problem,
    /// A form of this schema.
    Form(&'static str),
    /// A table as comma-separated values; an example of one.
    Csv(&'static str),
    /// Anything, in any type.
    Any,
    /// Server-sent events.
    Events,
    /// Plain text.
    Text,
}

/// A way in which an operation answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// When, or what it means.
    pub summary: &'static str,
    /// What it carries.
    pub content: Content,
}

/// A row of the table.
#[derive(Debug, Clone)]
pub struct Operation {
    /// The contract's operation ID, or ours where the contract has none.
    pub id: &'static str,
    /// HTTP method.
    pub method: Method,
    /// Path with `{variable}` segments.
    pub path: String,
    /// Another path at which published clients look for the same.
    pub also_at: Option<&'static str>,
    /// Group.
    pub tag: &'static str,
    /// What it does.
    pub summary: String,
    /// How callers prove themselves.
    pub auth: Auth,
    /// Query parameters.
    pub query: &'static [Query],
    /// What a request carries.
    pub body: Content,
    /// The answers that are its own; those that every operation can give are left out.
    pub answers: Vec<Answer>,
    /// True for operations of the contract, false for ours beside it.
    pub is_contract: bool,
    pub(crate) handler: MethodRouter<ApiState>,
}

const fn text(name: &'static str, summary: &'static str) -> Query {
    Query {
        name,
        summary,
        kind: QueryKind::Text,
        is_required: false,
    }
}

const fn choice(name: &'static str, summary: &'static str, all: &'static [&'static str]) -> Query {
    Query {
        kind: QueryKind::Choice(all),
        ..text(name, summary)
    }
}

/// The beginning of a span of time.
const fn since(name: &'static str, summary: &'static str) -> Query {
    Query {
        kind: QueryKind::Moment("2026-03-02T00:00:00Z"),
        ..text(name, summary)
    }
}

/// Its end.
const fn until(name: &'static str, summary: &'static str) -> Query {
    Query {
        kind: QueryKind::Moment("2026-03-02T06:00:00Z"),
        ..text(name, summary)
    }
}

const fn whole(name: &'static str, summary: &'static str, example: &'static str) -> Query {
    Query {
        kind: QueryKind::Integer(example),
        ..text(name, summary)
    }
}

/// One without which nothing is answered.
const fn required(query: Query) -> Query {
    Query {
        is_required: true,
        ..query
    }
}

const PAGE_SIZE: Query = whole("pageSize", "Records on a page, 1 to 500; default 50", "50");
const AFTER: Query = text("after", "Cursor: the next page (older records)");
const BEFORE: Query = text("before", "Cursor: the previous page (newer records)");
const PAGE: &[Query] = &[AFTER, BEFORE, PAGE_SIZE];
const AS_OF: Query = Query {
    kind: QueryKind::Moment("2026-03-02T06:00:00Z"),
    ..text(
        "asOf",
        "Moment: as it was then, for as long as events are kept; as it is if absent",
    )
};
const DEVICE: &[Query] = &[AS_OF];
const DEVICES: &[Query] = &[AFTER, BEFORE, PAGE_SIZE, AS_OF];
const EVENTS: &[Query] = &[text("after", "Cursor: events after this one"), PAGE_SIZE];
const STREAM: &[Query] = &[text(
    "after",
    "Cursor: events after this one; from now on if absent",
)];
const REPORT: &[Query] = &[
    since(
        "from",
        "Moment whose hour is the first; 24 hours before `to` if absent",
    ),
    until("to", "Moment whose hour is the last; now if absent"),
    text("kind", "This kind of device only"),
    text("vendor", "This vendor only"),
];
const HISTORY: &[Query] = &[
    since("from", "Moment; 24 hours before `to` if absent"),
    until("to", "Moment; now if absent"),
    RESOLUTION,
    ZONE,
];
const RESOLUTION: Query = choice(
    "resolution",
    "How long a bucket is",
    &[
        "QUARTER_HOUR",
        "HALF_HOUR",
        "HOUR",
        "DAY",
        "WEEK",
        "MONTH",
        "YEAR",
    ],
);
const ZONE: Query = text(
    "timezone",
    "Name of the zone by whose calendar days and longer buckets are; UTC if absent",
);
const TYPE: Query = required(choice(
    "type",
    "The kind of device",
    &["charger", "vehicle", "hvac"],
));
const CHARGES: &[Query] = &[
    since("from", "Moment; 24 hours before `to` if absent"),
    until("to", "Moment; now if absent"),
];
const SESSIONS: &[Query] = &[
    required(since("startDate", "Moment")),
    until("endDate", "Moment; now if absent"),
    TYPE,
    text("id", "This device only"),
    text("locationId", "Devices at this Location only"),
];
const CHARGING: &[Query] = &[
    required(since("startDate", "Moment")),
    until("endDate", "Moment; now if absent"),
    TYPE,
    text("id", "This device only"),
    text("locationId", "Devices at this Location only"),
    RESOLUTION,
    ZONE,
    text(
        "utcOffset",
        "Hours ahead of UTC; the old way to name a zone, for days and longer buckets",
    ),
];
const EARNINGS: &[Query] = &[
    since("from", "Moment; 24 hours before `to` if absent"),
    until("to", "Moment; now if absent"),
    RESOLUTION,
    ZONE,
    text("inverterId", "This inverter only"),
    text("locationId", "What was produced at this Location only"),
];
const PRICES: &[Query] = &[
    required(since("from", "Moment in the first quarter hour")),
    required(until(
        "to",
        "Moment after the last quarter hour's beginning",
    )),
];
const SOURCE: &[Query] = &[text(
    "source",
    "Who says what these prices are; `upload` if absent",
)];
const PRODUCTION: &[Query] = &[
    required(whole("year", "1969 to 2999", "2026")),
    required(whole("month", "1 to 12", "3")),
    whole(
        "day",
        "1 to 31: this day by the quarter hour; without it, the month by the day",
        "2",
    ),
];
const INTERVAL: &[Query] = &[required(Query {
    kind: QueryKind::Interval("2026-03-01"),
    ..text("interval", "A day like 2026-03-01, or a month like 2026-03")
})];
const ASSET_TYPES: &[Query] = &[text(
    "assetTypes",
    "Kinds of device, separated by commas; all if absent",
)];

const NO_CONTENT: Answer = Answer {
    status: 204,
    summary: "Done",
    content: Content::Empty,
};

const fn ok(schema: &'static str) -> Answer {
    Answer {
        status: 200,
        summary: "OK",
        content: Content::Json(schema),
    }
}

const fn refusal(status: u16, summary: &'static str) -> Answer {
    Answer {
        status,
        summary,
        content: Content::Json("Problem"),
    }
}

const NO_USER: Answer = refusal(404, "User does not exist");
const NO_DEVICE: Answer = refusal(404, "Asset not found");
const NO_HEM_SYSTEM: Answer = refusal(404, "HEM system not found");
const NO_LOCATION: Answer = refusal(404, "Location not found");
const NO_SCHEDULE: Answer = refusal(404, "Schedule not found");
const NO_ACTION: Answer = refusal(404, "Action not found");
const NO_SCOPE: Answer = refusal(403, "The user has not granted control of the device");
const IMPOSSIBLE: Answer = refusal(
    400,
    "The input is not valid, or the device cannot do that now",
);
const CONTROLLED: Answer = refusal(422, "A schedule or smart charging controls the device");
const NO_WEBHOOK: Answer = refusal(404, "Webhook not found");
const BAD_INPUT: Answer = refusal(400, "The input is not valid");
const TOO_MANY_ATTEMPTS: Answer = refusal(429, "Too many attempts have failed; see Retry-After");
const EVENTS_GONE: Answer = refusal(410, "Events after the cursor are no longer kept");

impl Operation {
    fn new(
        id: &'static str,
        method: Method,
        path: impl Into<String>,
        summary: impl Into<String>,
        handler: MethodRouter<ApiState>,
    ) -> Self {
        Self {
            id,
            method,
            path: path.into(),
            also_at: None,
            tag: "",
            summary: summary.into(),
            auth: Auth::Bearer,
            query: &[],
            body: Content::Empty,
            answers: Vec::new(),
            is_contract: true,
            handler,
        }
    }

    fn also_at(self, path: &'static str) -> Self {
        Self {
            also_at: Some(path),
            ..self
        }
    }

    fn auth(self, auth: Auth) -> Self {
        Self { auth, ..self }
    }

    fn query(self, query: &'static [Query]) -> Self {
        Self { query, ..self }
    }

    fn body(self, body: Content) -> Self {
        Self { body, ..self }
    }

    fn answers(self, answers: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            answers: answers.into_iter().collect(),
            ..self
        }
    }

    fn beside_contract(self) -> Self {
        Self {
            is_contract: false,
            ..self
        }
    }
}

/// All operations, group by group.
pub fn operations() -> Vec<Operation> {
    let mut all = Vec::new();
    let mut group = |tag: &'static str, rows: Vec<Operation>| {
        all.extend(rows.into_iter().map(|row| Operation { tag, ..row }));
    };
    group("Authentication", token_rows());
    group("User Management", user_rows());
    for kind in DeviceKind::ALL {
        group(names(kind).tag, device_rows(kind));
    }
    group("HEM Systems", hem_rows());
    group("Schedules", schedule_rows());
    group("Locations", location_rows());
    group("Tariffs", tariff_rows());
    group("Prices", pricing_rows());
    group("Interventions", intervention_rows());
    group("Webhooks", webhook_rows());
    group("Events", event_rows());
    group("Freshness", freshness_rows());
    group("Statistics", statistics_rows());
    let mut service = service_rows();
    service.extend(DeviceKind::ALL.into_iter().map(health_row));
    group("Service Health", service);
    group("Ways in for vendors and devices", intake_rows());
    all
}
