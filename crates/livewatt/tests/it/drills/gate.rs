//! The way from a node to its database, or from a charge point to a node, which can be cut, fall
//! silent, and lead elsewhere.

use std::{net::SocketAddr, path::PathBuf};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
};

/// What happens to what goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// Connections end, and new ones at once.
    Cut,
    /// Nothing ends and nothing comes through; what was sent arrives later.
    Silent,
}

/// Where a gate leads.
#[derive(Debug, Clone)]
pub enum Target {
    Socket(PathBuf),
    Address(SocketAddr),
}

#[derive(Debug, Clone)]
struct Rules {
    way: Way,
    target: Target,
    /// Connections older than this are dead and nobody has told either end.
    dead_before: u64,
    /// Number of the next connection.
    next: u64,
}

/// The gate of one node.
#[derive(Debug)]
pub struct Gate {
    pub address: SocketAddr,
    rules: watch::Sender<Rules>,
}

impl Gate {
    /// Leads somewhere from the start.
    pub async fn start(target: Target) -> Self {
        let listener = crate::support::loopback().await;
        let rules = watch::Sender::new(Rules {
            way: Way::Open,
            target,
            dead_before: 0,
            next: 0,
        });
        let gate = Self {
            address: listener.local_addr().unwrap(),
            rules: rules.clone(),
        };
        tokio::spawn(async move { take_in(listener, rules).await });
        gate
    }

    /// Ends all connections, and new ones at once.
    pub fn cut(&self) {
        self.rules.send_modify(|rules| rules.way = Way::Cut);
    }

    /// Lets nothing through and ends nothing.
    pub fn fall_silent(&self) {
        self.rules.send_modify(|rules| rules.way = Way::Silent);
    }

    /// Lets everything through again.
    pub fn open(&self) {
        self.rules.send_modify(|rules| rules.way = Way::Open);
    }

    /// Forgets all connections there are: no end of them hears of the other, or of this, again.
    pub fn forget_connections(&self) {
        self.rules
            .send_modify(|rules| rules.dead_before = rules.next);
    }

    /// Leads new connections elsewhere.
    pub fn lead_to(&self, target: Target) {
        self.rules.send_modify(|rules| rules.target = target);
    }
}

async fn take_in(listener: TcpListener, rules: watch::Sender<Rules>) {
    while let Ok((near, _)) = listener.accept().await {
        let mut number = 0;
        rules.send_if_modified(|rules| {
            number = rules.next;
            rules.next += 1;
            false
        });
        let rules = rules.subscribe();
        tokio::spawn(async move { connect(near, number, rules).await });
    }
}

/// Carries both ways until an end of the connection or a cut. What either leads to, the other end
/// sees.
async fn connect(near: TcpStream, number: u64, rules: watch::Receiver<Rules>) {
    let target = rules.borrow().target.clone();
    match target {
        Target::Socket(path) => {
            if let Ok(far) = UnixStream::connect(path).await {
                join(near, far, number, rules).await;
            }
        }
        Target::Address(address) => {
            if let Ok(far) = TcpStream::connect(address).await {
                join(near, far, number, rules).await;
            }
        }
    }
}

async fn join(
    near: TcpStream,
    far: impl AsyncRead + AsyncWrite,
    number: u64,
    mut rules: watch::Receiver<Rules>,
) {
    let (up, down) = (rules.clone(), rules.clone());
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = tokio::io::split(far);
    tokio::select! {
        () = carry(near_in, far_out, number, up) => {}
        () = carry(far_in, near_out, number, down) => {}
        _ = rules.wait_for(|rules| rules.way == Way::Cut) => {}
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    number: u64,
    mut rules: watch::Receiver<Rules>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await;
        let lets_through = |rules: &Rules| rules.way != Way::Silent && number >= rules.dead_before;
        // Also an end: whoever is not heard cannot be heard to go.
        if rules.wait_for(lets_through).await.is_err() {
            return;
        }
        match read {
            Ok(0) | Err(_) => return,
            Ok(length) => {
                if to.write_all(&buffer[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
