//! A load generator: connections kept alive, each with one request under way at a time. Run as a
//! process of its own ([`super::peer`]).

use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

use super::report::quantile;
use crate::terminal::say;

/// What to ask for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Orders {
    pub(super) address: SocketAddr,
    pub(super) token: String,
    /// Asked for in turn, each connection beginning somewhere else.
    pub(super) paths: Vec<String>,
    pub(super) connections: usize,
    pub(super) length_ms: u64,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answered {
    pub(super) requests: u64,
    pub(super) elapsed_secs: f64,
    pub(super) bytes: u64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

/// Asks as often as it can; prints what came of it.
pub(super) async fn run(orders: &Path) -> anyhow::Result<()> {
    let orders = std::fs::read_to_string(orders).context("the orders cannot be read")?;
    let orders: Arc<Orders> = Arc::new(serde_json::from_str(&orders)?);
    ensure!(!orders.paths.is_empty(), "there is nothing to ask for");
    let began = Instant::now();
    let mut connections = JoinSet::new();
    for index in 0..orders.connections {
        connections.spawn(ask(orders.clone(), index));
    }
    let (mut waits, mut bytes) = (Vec::new(), 0);
    while let Some(ended) = connections.join_next().await {
        let (more, read) = ended??;
        waits.extend(more);
        bytes += read;
    }
    let answered = Answered {
        requests: waits.len() as u64,
        elapsed_secs: began.elapsed().as_secs_f64(),
        bytes,
        p50_ms: quantile(&waits, 0.5),
        p99_ms: quantile(&waits, 0.99),
    };
    say(&serde_json::to_string(&answered)?);
    Ok(())
}

/// Waits of one connection, ms, and bytes of the bodies read.
async fn ask(orders: Arc<Orders>, index: usize) -> anyhow::Result<(Vec<f64>, u64)> {
    let mut stream = TcpStream::connect(orders.address).await?;
    stream.set_nodelay(true)?;
    let began = Instant::now();
    let length = Duration::from_millis(orders.length_ms);
    let mut buffer = Vec::with_capacity(256 * 1024);
    let (mut waits, mut bytes) = (Vec::new(), 0);
    let mut next = index * orders.paths.len() / orders.connections.max(1);
    while began.elapsed() < length {
        let path = &orders.paths[next % orders.paths.len()];
        next += 1;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\naccept: */*\r\n\r\n",
            orders.address, orders.token
        );
        let asked = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        bytes += read_answer(&mut stream, &mut buffer)
            .await
            .with_context(|| format!("asking for {path}"))?;
        waits.push(asked.elapsed().as_secs_f64() * 1e3);
    }
    Ok((waits, bytes))
}

/// Reads an answer that went well; returns the length of its body.
async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<u64> {
    buffer.clear();
    let end = loop {
        ensure!(stream.read_buf(buffer).await? > 0, "the connection ended");
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = std::str::from_utf8(&buffer[..end])?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "the answer is {head}");
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .context("the answer does not tell its length")?;
    while buffer.len() < end + length {
        ensure!(stream.read_buf(buffer).await? > 0, "the connection ended");
    }
    Ok(length as u64)
}
