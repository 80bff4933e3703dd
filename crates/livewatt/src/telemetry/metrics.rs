//! Every metric there is: its one description, from which `/metrics` and the table in
//! `docs/operations.md` are made. Tests compare it with what the source counts and with what is
//! served.
//!
//! Labels hold words of ours (integrations, outcomes, states) and never the name of a client, a
//! user, a device or a webhook: their number must not grow with the fleet.

/// A metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name, as Prometheus knows it.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// The labels that each of its values has.
    pub labels: &'static [&'static str],
    /// What it counts or measures in.
    pub unit: &'static str,
    /// What it tells.
    pub tells: &'static str,
    /// What it shows while all is well.
    pub normal: &'static str,
}

/// What kind of number a metric is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only rises; begins at 0 with the process.
    Counter,
    /// Moves up and down.
    Gauge,
    /// How many values were at most so large.
    Histogram(&'static [f64]),
}

impl Kind {
    /// Its name, as Prometheus knows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

impl Metric {
    pub(super) fn describe(&self) {
        match self.kind {
            Kind::Counter => metrics::describe_counter!(self.name, self.tells),
            Kind::Gauge => metrics::describe_gauge!(self.name, self.tells),
            Kind::Histogram(_) => metrics::describe_histogram!(self.name, self.tells),
        }
    }
}

/// For what takes milliseconds, and is cut off after 30 seconds at the latest.
const WORK: Kind = Kind::Histogram(&[
    0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
]);

/// For what waits: seconds while all is well, and up to a day.
const WAITING: Kind = Kind::Histogram(&[
    0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21_600.0, 86_400.0,
]);

/// All metrics, in the order in which people read of them.
pub const METRICS: &[Metric] = &[
    Metric {
        name: "livewatt_freshness_age_seconds_bucket",
        kind: Kind::Counter,
        labels: &["vendor", "kind", "block", "le"],
        unit: "s",
        tells: "How old data was, in seconds of one block each: `histogram_quantile(0.99, sum by (le) \
                (rate(…[1h])))` is the age not exceeded in 99 % of the time",
        normal: "the interval in force plus one poll",
    },
    Metric {
        name: "livewatt_freshness_seconds_total",
        kind: Kind::Counter,
        labels: &["vendor", "kind", "block", "within"],
        unit: "s",
        tells: "Time during which a reachable block was (`true`) and was not (`false`) as fresh as \
                promised",
        normal: "nearly all `true`",
    },
    Metric {
        name: "livewatt_freshness_breaches_total",
        kind: Kind::Counter,
        labels: &["vendor", "kind", "reason"],
        unit: "breaches",
        tells: "Broken promises, by what kept us",
        normal: "never with the reason `late`",
    },
    Metric {
        name: "livewatt_freshness_breaches_open",
        kind: Kind::Gauge,
        labels: &[],
        unit: "breaches",
        tells: "Broken promises that last",
        normal: "0",
    },
    Metric {
        name: "livewatt_polls_total",
        kind: Kind::Counter,
        labels: &["integration", "outcome"],
        unit: "fetches",
        tells: "Fetches by how they ended: `ok`, `unreachable`, `rateLimited`, `overBudget`, \
                `malformed`, `refused`, `loginExpired`, `vendorPaused`, `credentialsInvalid`, \
                `watched` (a charge point was looked at), `notPolled`, `internal` (failed on our \
                side)",
        normal: "nearly all `ok` and `watched`; `internal` never",
    },
    Metric {
        name: "livewatt_poll_seconds",
        kind: WORK,
        labels: &["integration"],
        unit: "s",
        tells: "How long a fetch took, waiting for a place included",
        normal: "what the vendor takes; each call of it ends after `vendors.timeout_secs` (30)",
    },
    Metric {
        name: "livewatt_poll_lateness_seconds",
        kind: WAITING,
        labels: &["integration"],
        unit: "s",
        tells: "How long after its due time an account was taken up",
        normal: "below 2 s",
    },
    Metric {
        name: "livewatt_polls_under_way",
        kind: Kind::Gauge,
        labels: &["integration"],
        unit: "fetches",
        tells: "Fetches that have a place among those of their integration",
        normal: "far below `vendors.parallel` (512)",
    },
    Metric {
        name: "livewatt_polls_waiting",
        kind: Kind::Gauge,
        labels: &["integration"],
        unit: "fetches",
        tells: "Fetches that are due and wait for a place",
        normal: "0",
    },
    Metric {
        name: "livewatt_oldest_overdue_seconds",
        kind: Kind::Gauge,
        labels: &[],
        unit: "s",
        tells: "How long the account has been due that waits longest to be taken up",
        normal: "below 2 s",
    },
    Metric {
        name: "livewatt_breaker_open",
        kind: Kind::Gauge,
        labels: &["integration"],
        unit: "0 or 1",
        tells: "1 while a vendor does not answer and calls to it pause",
        normal: "0",
    },
    Metric {
        name: "livewatt_breaker_openings_total",
        kind: Kind::Counter,
        labels: &["integration"],
        unit: "times",
        tells: "A vendor stopped answering, or still does not",
        normal: "does not rise",
    },
    Metric {
        name: "livewatt_pushes_total",
        kind: Kind::Counter,
        labels: &["integration", "outcome"],
        unit: "pushes",
        tells: "Pushes of vendors: `taken`, `unverified` (wrong signature), `malformed`",
        normal: "all `taken`",
    },
    Metric {
        name: "livewatt_vendor_drift_total",
        kind: Kind::Counter,
        labels: &["integration"],
        unit: "findings",
        tells: "Words or shapes of a vendor that its adapter does not know: it has changed its \
                API",
        normal: "does not rise",
    },
    Metric {
        name: "livewatt_facts_rejected_total",
        kind: Kind::Counter,
        labels: &["integration"],
        unit: "values",
        tells: "Values that cannot be true, and so were not taken",
        normal: "does not rise",
    },
    Metric {
        name: "livewatt_facts_older_total",
        kind: Kind::Counter,
        labels: &["integration"],
        unit: "values",
        tells: "Values that came after newer ones, and so changed nothing",
        normal: "rises a little where a vendor both pushes and is fetched",
    },
    Metric {
        name: "livewatt_refresh_hints_total",
        kind: Kind::Counter,
        labels: &["taken"],
        unit: "hints",
        tells: "Hints of customers that a device be fetched: `true` if it was brought forward, \
                `false` if it was just hinted, backs off or is not fetched",
        normal: "as customers please",
    },
    Metric {
        name: "livewatt_commands_total",
        kind: Kind::Counter,
        labels: &["integration", "outcome"],
        unit: "commands",
        tells: "Commands to devices, by what their vendor made of them: `accepted`, `alreadySo`, \
                `deviceUnreachable`, `throttled`, `failed`, `refused`; that one was accepted says \
                nothing of the device",
        normal: "mostly `accepted`",
    },
    Metric {
        name: "livewatt_accounts",
        kind: Kind::Gauge,
        labels: &["integration", "status"],
        unit: "accounts",
        tells: "Linked vendor accounts: `active`, `invalidated` (the vendor refuses the login; \
                the user must relink), `deauthorized` (the customer had the credentials deleted)",
        normal: "`invalidated` rises slowly",
    },
    Metric {
        name: "livewatt_devices",
        kind: Kind::Gauge,
        labels: &[],
        unit: "devices",
        tells: "Devices of active accounts",
        normal: "as many as were linked",
    },
    Metric {
        name: "livewatt_nodes",
        kind: Kind::Gauge,
        labels: &[],
        unit: "nodes",
        tells: "Nodes on the same PostgreSQL database that were heard of within a lease; 0 on SQLite",
        normal: "as many as run",
    },
    Metric {
        name: "livewatt_partitions_owned",
        kind: Kind::Gauge,
        labels: &[],
        unit: "partitions",
        tells: "Partitions that this node owns, of 256; 0 on SQLite, where nobody shares",
        normal: "256 divided by the nodes, more or less",
    },
    Metric {
        name: "livewatt_partitions_free",
        kind: Kind::Gauge,
        labels: &[],
        unit: "partitions",
        tells: "Partitions that nobody owns: their accounts are not fetched",
        normal: "0; some for up to 20 s after a node died",
    },
    Metric {
        name: "livewatt_partitions_taken_total",
        kind: Kind::Counter,
        labels: &[],
        unit: "partitions",
        tells: "Partitions taken over",
        normal: "moves when nodes come or go",
    },
    Metric {
        name: "livewatt_partitions_given_total",
        kind: Kind::Counter,
        labels: &[],
        unit: "partitions",
        tells: "Partitions handed over in good order",
        normal: "moves when nodes come",
    },
    Metric {
        name: "livewatt_partitions_lost_total",
        kind: Kind::Counter,
        labels: &[],
        unit: "partitions",
        tells: "Partitions that another node took because this one had not renewed its leases",
        normal: "0",
    },
    Metric {
        name: "livewatt_clock_skew_seconds",
        kind: Kind::Gauge,
        labels: &[],
        unit: "seconds",
        tells: "This node's clock less that of the database; 0 on SQLite",
        normal: "within a second of 0",
    },
    Metric {
        name: "livewatt_bus_connected",
        kind: Kind::Gauge,
        labels: &[],
        unit: "0 or 1",
        tells: "0 while NATS (`cluster.nats_url`) is away: nodes then find out within a second what \
                they would have been told at once",
        normal: "1",
    },
    Metric {
        name: "livewatt_stations_connected",
        kind: Kind::Gauge,
        labels: &[],
        unit: "charge points",
        tells: "Charge points connected over OCPP",
        normal: "as many as are switched on",
    },
    Metric {
        name: "livewatt_events_total",
        kind: Kind::Counter,
        labels: &[],
        unit: "events",
        tells: "Changes written to the event log",
        normal: "rises with the fleet",
    },
    Metric {
        name: "livewatt_events_delivered_total",
        kind: Kind::Counter,
        labels: &[],
        unit: "events",
        tells: "Events taken by webhooks",
        normal: "rises with the events, times the webhooks that want them",
    },
    Metric {
        name: "livewatt_deliveries_total",
        kind: Kind::Counter,
        labels: &["outcome"],
        unit: "deliveries",
        tells: "Attempts to deliver to a webhook: `delivered`, `failed`",
        normal: "nearly all `delivered`",
    },
    Metric {
        name: "livewatt_delivery_seconds",
        kind: WORK,
        labels: &[],
        unit: "s",
        tells: "How long a receiver took to answer, heartbeats and tests included",
        normal: "below 1 s; 5 s at most",
    },
    Metric {
        name: "livewatt_delivery_lag_seconds",
        kind: WAITING,
        labels: &[],
        unit: "s",
        tells: "From the making of an event until a webhook had taken it, for the oldest event \
                of each delivery",
        normal: "below 1 s",
    },
    Metric {
        name: "livewatt_export_lag_seconds",
        kind: Kind::Gauge,
        labels: &[],
        unit: "s",
        tells: "Age of the oldest event that this node has still to export (`export`); 0 if all are, or none is to be",
        normal: "below 5 s",
    },
    Metric {
        name: "livewatt_export_events_total",
        kind: Kind::Counter,
        labels: &[],
        unit: "events",
        tells: "Events exported",
        normal: "rises with the events, if they are to be exported",
    },
    Metric {
        name: "livewatt_webhooks",
        kind: Kind::Gauge,
        labels: &["state"],
        unit: "webhooks",
        tells: "Webhooks: `active`, `failing` (a delivery failed and is tried again), `inactive` (switched off \
                after 24 hours in which nothing was taken)",
        normal: "all `active`",
    },
    Metric {
        name: "livewatt_webhook_failing_seconds",
        kind: Kind::Gauge,
        labels: &[],
        unit: "s",
        tells: "How long the delivery has failed that fails longest",
        normal: "0",
    },
    Metric {
        name: "livewatt_event_streams",
        kind: Kind::Gauge,
        labels: &[],
        unit: "streams",
        tells: "Live streams of events that are open (`GET /events/stream`)",
        normal: "as many as there are listeners",
    },
    Metric {
        name: "livewatt_store_commits_total",
        kind: Kind::Counter,
        labels: &["outcome"],
        unit: "commits",
        tells: "Transactions of the database: `ok`, `failed`",
        normal: "`failed` never",
    },
    Metric {
        name: "livewatt_store_jobs_total",
        kind: Kind::Counter,
        labels: &[],
        unit: "writes",
        tells: "Writes that were grouped into those transactions",
        normal: "as many as commits, or many more under load",
    },
    Metric {
        name: "livewatt_store_commit_seconds",
        kind: WORK,
        labels: &[],
        unit: "s",
        tells: "How long a transaction took, its sync to the disk included",
        normal: "below 50 ms",
    },
    Metric {
        name: "livewatt_store_seconds",
        kind: WORK,
        labels: &["access"],
        unit: "s",
        tells: "From handing a `read` or `write` to the database until its answer, waiting \
                included",
        normal: "below 100 ms",
    },
    Metric {
        name: "livewatt_store_bytes",
        kind: Kind::Gauge,
        labels: &["file"],
        unit: "bytes",
        tells: "Size of the `database`, and of its write-ahead log (`wal`)",
        normal: "`wal` about 16 MiB, 64 MiB after bursts",
    },
    Metric {
        name: "livewatt_store_free_bytes",
        kind: Kind::Gauge,
        labels: &[],
        unit: "bytes",
        tells: "Room in the database left by what was deleted; filled before the file grows",
        normal: "about what a day of events takes",
    },
    Metric {
        name: "livewatt_http_requests_total",
        kind: Kind::Counter,
        labels: &["method", "route", "status"],
        unit: "requests",
        tells: "Requests to the API, by the template of their path",
        normal: "status 5xx never",
    },
    Metric {
        name: "livewatt_http_request_duration_seconds",
        kind: WORK,
        labels: &["method", "route"],
        unit: "s",
        tells: "How long requests took until their answer began",
        normal: "below 100 ms",
    },
    Metric {
        name: "livewatt_build_info",
        kind: Kind::Gauge,
        labels: &["version"],
        unit: "1",
        tells: "The version that runs",
        normal: "1",
    },
    Metric {
        name: "process_start_time_seconds",
        kind: Kind::Gauge,
        labels: &[],
        unit: "s since 1970",
        tells: "When the process started",
        normal: "changes with releases only",
    },
    Metric {
        name: "process_resident_memory_bytes",
        kind: Kind::Gauge,
        labels: &[],
        unit: "bytes",
        tells: "Memory in use (Linux)",
        normal: "level after an hour",
    },
    Metric {
        name: "process_open_fds",
        kind: Kind::Gauge,
        labels: &[],
        unit: "files",
        tells: "Open files and connections (Linux)",
        normal: "far below the limit (`ulimit -n`)",
    },
];
