//! The least a vendor can be: it answers reads of volta accounts of one vehicle each, over
//! connections kept alive, and does nothing else, so that the reader is what is measured.
//!
//! The access token names the account: `bench-<number>`. Each account counts its visits; a set share
//! of them finds other values than the one before. Run as a process of its own ([`super::peer`]).

use std::{
    fmt::Write as _,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use livewatt_domain::{
    Timestamp,
    clock::{Clock as _, SystemClock},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::peer::announce;

/// One vehicle in so many is charging: read every two minutes instead of every seven.
pub(super) const CHARGING_ONE_IN: u32 = 10;

/// Whether an account's vehicle is charging.
pub(super) const fn is_charging(account: u32) -> bool {
    account.is_multiple_of(CHARGING_ONE_IN)
}

struct Cloud {
    accounts: Vec<Account>,
    /// Of 100 visits, how many find something new.
    changed_percent: AtomicU32,
    delay_ms: AtomicU64,
    is_logging: AtomicBool,
    answers: AtomicU64,
    connections: AtomicU64,
    /// Account and milliseconds since the start, of each visit.
    visits: Mutex<Vec<(u32, u32)>>,
    began: Instant,
    /// When the values that never change are from.
    oldest: Timestamp,
}

#[derive(Default)]
struct Account {
    visits: AtomicU32,
    changes: AtomicU32,
}

/// Serves until the process that started this one is gone.
pub(super) async fn serve(accounts: u32) -> anyhow::Result<()> {
    let cloud = Arc::new(Cloud {
        accounts: (0..accounts).map(|_| Account::default()).collect(),
        changed_percent: AtomicU32::new(0),
        delay_ms: AtomicU64::new(0),
        is_logging: AtomicBool::new(false),
        answers: AtomicU64::new(0),
        connections: AtomicU64::new(0),
        visits: Mutex::default(),
        began: Instant::now(),
        oldest: SystemClock.now(),
    });
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .context("the vendor cannot listen")?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        // A connection that fails is the next request's problem.
        while let Ok((stream, _)) = listener.accept().await {
            cloud.connections.fetch_add(1, Relaxed);
            let cloud = cloud.clone();
            tokio::spawn(async move {
                let _ = converse(&cloud, stream).await;
            });
        }
    });
    announce(address).await
}

/// Answers the requests of one connection, one after the other.
async fn converse(cloud: &Cloud, mut stream: TcpStream) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 4096];
    let mut filled = 0;
    let mut answer = Vec::with_capacity(2048);
    loop {
        let Some(end) = find(&buffer[..filled], b"\r\n\r\n") else {
            anyhow::ensure!(filled < buffer.len(), "a request of a bench is short");
            match stream.read(&mut buffer[filled..]).await? {
                0 => return Ok(()),
                count => filled += count,
            }
            continue;
        };
        let head = std::str::from_utf8(&buffer[..end])?;
        let body = match token(head) {
            Some(account) => {
                let delay = cloud.delay_ms.load(Relaxed);
                if delay > 0 {
                    tokio::time::sleep(Duration::from_millis(delay)).await;
                }
                cloud.visit(account)
            }
            None => Some(cloud.control(path(head))),
        };
        answer.clear();
        match body {
            Some(body) => {
                let length = body.len();
                answer.extend_from_slice(
                    format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                         content-length: {length}\r\n\r\n"
                    )
                    .as_bytes(),
                );
                answer.extend_from_slice(&body);
            }
            None => {
                answer.extend_from_slice(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n")
            }
        }
        stream.write_all(&answer).await?;
        buffer.copy_within(end + 4..filled, 0);
        filled -= end + 4;
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn path(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or("/")
}

/// The account that a request is about.
fn token(head: &str) -> Option<u32> {
    let (_, rest) = head.split_once("Bearer bench-")?;
    rest.split("\r\n").next()?.parse().ok()
}

impl Cloud {
    /// `/set?changed=10&delay=200&log=1`, `/stats`, `/visits`.
    fn control(&self, path: &str) -> Vec<u8> {
        let (name, query) = path.split_once('?').unwrap_or((path, ""));
        for (key, value) in query.split('&').filter_map(|part| part.split_once('=')) {
            let Ok(value) = value.parse::<u32>() else {
                continue;
            };
            match key {
                "changed" => self.changed_percent.store(value, Relaxed),
                "delay" => self.delay_ms.store(value.into(), Relaxed),
                "log" => self.is_logging.store(value > 0, Relaxed),
                _ => {}
            }
        }
        match name {
            "/visits" => {
                let visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
                let bytes = visits.iter().flat_map(|(account, at)| {
                    let [a, b] = [account.to_le_bytes(), at.to_le_bytes()];
                    a.into_iter().chain(b)
                });
                bytes.collect()
            }
            _ => format!(
                r#"{{"answers":{},"connections":{},"elapsed_ms":{}}}"#,
                self.answers.load(Relaxed),
                self.connections.load(Relaxed),
                self.began.elapsed().as_millis()
            )
            .into_bytes(),
        }
    }

    fn visit(&self, number: u32) -> Option<Vec<u8>> {
        let account = self.accounts.get(number as usize)?;
        let visits = account.visits.fetch_add(1, Relaxed);
        // Spread, so that not all accounts change at the same visit.
        let phase = number.wrapping_mul(2_654_435_761) >> 16;
        let percent = self.changed_percent.load(Relaxed);
        let steps = |visits: u32| (u64::from(visits) + u64::from(phase)) * u64::from(percent) / 100;
        if steps(visits) != steps(visits + 1) {
            account.changes.fetch_add(1, Relaxed);
        }
        self.answers.fetch_add(1, Relaxed);
        if self.is_logging.load(Relaxed) {
            let at = self.began.elapsed().as_millis() as u32;
            let mut visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
            visits.push((number, at));
        }
        Some(self.body(number, account))
    }

    /// An account as volta shows it.
    fn body(&self, number: u32, account: &Account) -> Vec<u8> {
        let changes = account.changes.load(Relaxed);
        // The reader's clock may be far ahead of ours, so no time is told of the charge: then it is of
        // when it was read. Of a time long past it would cost the reader more than what has just
        // happened, which is the usual.
        let level = 20 + changes % 60;
        let range = f64::from(level) * 4.1;
        let (status, power) = match is_charging(number) {
            true => ("charging", 11.0),
            false => ("disconnected", 0.0),
        };
        let (now, oldest) = (SystemClock.now(), self.oldest);
        let mut text = String::with_capacity(1024);
        // Writing to a text cannot fail.
        let _ = write!(
            text,
            r#"{{"account_id":"bench-{number}","email":"bench-{number}@bench.example","time":"{now}","vehicles":[{{"vin":"{vin}","name":"Bench {number}","model":"Model B","year":2024,"online":true,"charge":{{"level_percent":{level}.0,"range_km":{range:.1},"plugged":true,"status":"{status}","power_kw":{power:.1},"limit_percent":80,"capacity_kwh":75.0,"minutes_to_full":null,"max_amps":16,"at":null}},"odometer":{{"km":{odometer}.5,"at":"{oldest}"}},"position":{{"lat":52.{number:06},"lon":13.{number:06},"at":"{oldest}"}},"options":{{"colour":"silver","wheels":"19 inch","roof":"glass","trim":"long range","software":"2026.40.1","plant":"F4","delivered":"2024-03-01","tyres":"all season","tow_hitch":false,"heat_pump":true,"seats":5}}}}],"wallboxes":[]}}"#,
            vin = vin(number),
            odometer = 10_000 + number % 90_000,
        );
        text.into_bytes()
    }
}

/// How the VINs of the bench begin.
pub(super) const VIN_PREFIX: &str = "BENCH";
/// How many digits follow.
pub(super) const VIN_DIGITS: usize = 12;

/// The number by which the vendor knows the vehicle of an account.
pub(super) fn vin(account: u32) -> String {
    format!("{VIN_PREFIX}{account:0VIN_DIGITS$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_understood() {
        let head = "GET /v1/account HTTP/1.1\r\nauthorization: Bearer bench-42\r\nhost: x";
        assert_eq!(token(head), Some(42));
        assert_eq!(path(head), "/v1/account");
        assert_eq!(token("GET /stats HTTP/1.1\r\nhost: x"), None);
        assert_eq!(vin(7).len(), 17);
    }
}
