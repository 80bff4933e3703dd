//! Reads of the API through the real router, beside a handler that returns the same bytes.
//!
//! Both are served by this process on its one runtime, by turns, to the same load from another
//! process. The handler beside ours does nothing that a server could do less of: it looks the body
//! up by the address asked for.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use livewatt_api::ApiOptions;
use livewatt_domain::{
    SignedDuration,
    clock::{Clock as _, SystemClock},
    entropy::Entropy as _,
};
use livewatt_engine::SystemEntropy;
use livewatt_store::StoredToken;
use sha2::{Digest as _, Sha256};

use super::{
    Plan,
    fleet::{cadence, fill},
    installation::Installation,
    load::{Answered, Orders},
    machine::cpu_time,
    peer::{self, Peer},
    report::{Part, Row},
    served::Served,
};
use crate::{telemetry, terminal::say};

/// Requests at the same time.
const CONNECTIONS: usize = 32;

/// Runs the part.
pub(super) async fn run(plan: &Plan) -> anyhow::Result<Part> {
    let devices = plan.devices(20_000, 1_000);
    let rounds = plan.pick(5, 1);
    let window = plan
        .total(60, 4)
        .div_f64((4 * rounds) as f64)
        .max(Duration::from_millis(300));
    say(&format!("api: filling a database with {devices} devices"));
    let bench = Bench::start(plan, devices).await?;
    let ones: Vec<String> = bench
        .ids
        .iter()
        .map(|id| format!("/vehicles/{id}"))
        .collect();
    let lists: Vec<String> = bench.pages.clone();
    let rows = vec![
        bench.case("one vehicle", ones, rounds, window).await?,
        bench
            .case("list of 50 vehicles", lists, rounds, window)
            .await?,
    ];
    Ok(Part {
        name: "api",
        about: format!(
            "GET over {CONNECTIONS} connections kept alive, through the real router (access token, \
             version, metrics, overlay of what is not yet written) over SQLite with {devices} \
             vehicles, beside an axum handler that returns the same bytes from memory; by turns, \
             {rounds} x {:.1} s each",
            window.as_secs_f64()
        ),
        aim: "ratio of rates at least 0.8",
        rows,
    })
}

struct Bench {
    installation: Installation,
    ours: Served,
    bare: Served,
    token: String,
    ids: Vec<String>,
    /// Addresses of pages of 50.
    pages: Vec<String>,
}

/// What was fetched once from the real router.
type Bodies = Arc<HashMap<String, Bytes>>;

async fn same_bytes(State(bodies): State<Bodies>, uri: Uri) -> Response {
    let asked = uri.path_and_query().map_or("/", |path| path.as_str());
    match bodies.get(asked) {
        Some(body) => ([(header::CONTENT_TYPE, "application/json")], body.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

impl Bench {
    async fn start(plan: &Plan, devices: u32) -> anyhow::Result<Self> {
        let metrics = telemetry::start_metrics()?;
        let vendor = Peer::start(&["vendor".to_owned(), devices.to_string()]).await?;
        let now = SystemClock.now();
        let installation = Installation::make(plan, now).await?;
        fill(&installation, &vendor, devices, now, cadence).await?;
        let token = format!("bench-{:016x}", SystemEntropy.next_u64());
        let stored = StoredToken {
            hash: Sha256::digest(token.as_bytes()).into(),
            client_id: installation.client,
            expires_at: now.saturating_add(SignedDuration::from_hours(24))?,
        };
        installation.opened.store.save_token(stored, now).await?;
        let clock = Arc::new(SystemClock);
        let engine = installation
            .opened
            .start(vendor.address, clock, |_| {})
            .await?;
        let options = ApiOptions {
            metrics: Some(Arc::new(move || metrics.render())),
            ..ApiOptions::default()
        };
        let ours = Served::start(livewatt_api::router(engine, options)).await?;
        let mut bodies = HashMap::new();
        let (ids, pages) =
            collect(ours.address, &token, plan.pick(1_000, 200), &mut bodies).await?;
        let bare = Router::new()
            .fallback(same_bytes)
            .with_state(Arc::new(bodies));
        Ok(Self {
            installation,
            ours,
            bare: Served::start(bare).await?,
            token,
            ids,
            pages,
        })
    }

    async fn case(
        &self,
        name: &str,
        paths: Vec<String>,
        rounds: usize,
        window: Duration,
    ) -> anyhow::Result<Row> {
        let mut row = Row::new(name);
        let file = self.installation.directory.0.join("load.json");
        for round in 1..=rounds {
            let mut rates = [0.0; 2];
            for (index, (whose, address)) in
                [("bare", self.bare.address), ("ours", self.ours.address)]
                    .into_iter()
                    .enumerate()
            {
                let orders = Orders {
                    address,
                    token: self.token.clone(),
                    paths: paths.clone(),
                    connections: CONNECTIONS,
                    length_ms: window.as_millis() as u64,
                };
                std::fs::write(&file, serde_json::to_vec(&orders)?)?;
                let cpu = cpu_time(std::process::id())?;
                let said = peer::ask(
                    &self.installation.opened.place,
                    &["load".to_owned(), file.display().to_string()],
                )
                .await?;
                let cpu = cpu_time(std::process::id())? - cpu;
                let answered: Answered = serde_json::from_str(&said)?;
                let requests = answered.requests as f64;
                rates[index] = requests / answered.elapsed_secs;
                let names = match whose {
                    "bare" => NAMES_BARE,
                    _ => NAMES_OURS,
                };
                row.note(names[0], rates[index]);
                row.note(names[1], cpu.as_secs_f64() * 1e6 / requests);
                row.note(names[2], answered.p50_ms);
                row.note(names[3], answered.p99_ms);
                row.note("bytes per answer", answered.bytes as f64 / requests);
            }
            row.note("ratio of rates", rates[1] / rates[0]);
            say(&format!(
                "  {name}, round {round} of {rounds}: ours {:.0}/s, bare {:.0}/s",
                rates[1], rates[0]
            ));
        }
        Ok(row)
    }
}

const NAMES_OURS: [&str; 4] = [
    "ours requests/s",
    "ours CPU us/request",
    "ours p50 ms",
    "ours p99 ms",
];
const NAMES_BARE: [&str; 4] = [
    "bare requests/s",
    "bare CPU us/request",
    "bare p50 ms",
    "bare p99 ms",
];

/// Fetches some pages and devices from the real router; returns the devices' IDs and the pages'
/// addresses.
async fn collect(
    address: SocketAddr,
    token: &str,
    wanted: usize,
    bodies: &mut HashMap<String, Bytes>,
) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let client = reqwest::Client::new();
    let get = async |path: &str| {
        let url = format!("http://{address}{path}");
        let answer = client.get(url).bearer_auth(token).send().await?;
        answer
            .error_for_status()
            .with_context(|| format!("asking for {path}"))?
            .bytes()
            .await
            .context("an answer broke off")
    };
    let (mut ids, mut pages) = (Vec::new(), Vec::new());
    let mut path = "/vehicles?pageSize=50".to_owned();
    while ids.len() < wanted {
        let body = get(&path).await?;
        let page: serde_json::Value = serde_json::from_slice(&body)?;
        let listed = page["data"].as_array().context("a page has no data")?;
        ids.extend(
            listed
                .iter()
                .filter_map(|item| item["id"].as_str().map(str::to_owned)),
        );
        bodies.insert(path.clone(), body);
        pages.push(path);
        match page["pagination"]["after"].as_str() {
            Some(after) => path = format!("/vehicles?pageSize=50&after={after}"),
            None => break,
        }
    }
    for id in &ids {
        let path = format!("/vehicles/{id}");
        bodies.insert(path.clone(), get(&path).await?);
    }
    Ok((ids, pages))
}
