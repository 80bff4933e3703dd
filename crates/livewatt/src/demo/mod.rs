//! `livewatt demo`: everything at once, on this machine alone. A sandbox whose days take minutes, a
//! server that linked its three clouds for a user, a webhook receiver that prints what arrives, and
//! a page that shows it all.

pub mod link;
mod receiver;
mod table;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use livewatt_domain::{
    clock::{Clock, FastClock, SystemClock},
    entropy::Entropy as _,
    id::UserId,
};
use livewatt_engine::{SystemEntropy, webhooks::WebhookInput};
use livewatt_sandbox::{Sandbox, SandboxConfig};
use livewatt_vendors::Secret;
use tokio::net::TcpListener;

use crate::{
    config::Settings,
    serve::{ServeOptions, Server, bind},
    terminal::{interrupted, say},
};

/// How the demo is to run.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoArgs {
    /// Address to listen on; another free port is taken if this one is not free.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// How much faster than real time the day goes by.
    #[arg(long, default_value_t = 60.0)]
    pub speed: f64,
    /// Seed of the sandbox.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// The demo while it runs.
#[derive(Debug)]
pub struct Demo {
    /// The server.
    pub server: Server,
    /// The vendor clouds.
    pub sandbox: Sandbox,
    /// The client's ID and secret.
    pub client: (String, String),
    directory: Scratch,
}

/// A directory that goes when it is let go of, also if the demo fails to start.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // It may not have been made yet, or be gone already.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The user whose accounts the demo links.
pub const USER: &str = "demo-user";

impl Demo {
    /// Starts everything and links the demo accounts.
    ///
    /// # Errors
    /// If a part cannot start.
    pub async fn start(args: &DemoArgs, mut settings: Settings) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(FastClock::new(Arc::new(SystemClock), args.speed));
        let sandbox_listener = loopback().await?;
        let sandbox = Sandbox::start(
            SandboxConfig {
                seed: args.seed,
                start: clock.now(),
                speed: args.speed,
                demo_accounts: true,
                ..SandboxConfig::default()
            },
            sandbox_listener,
        );
        let unique = SystemEntropy.next_u64();
        let directory = std::env::temp_dir().join(format!("livewatt-demo-{unique:016x}"));
        let directory = Scratch(directory);
        settings.store.directory.clone_from(&directory.0);
        settings.store.url = Secret::new(String::new());
        settings.sandbox.url = sandbox.base_url().to_owned();
        settings.webhooks.dangerous_allow_private_receivers = true;
        settings.server.public_url.clear();
        let listener = match TcpListener::bind(args.listen).await {
            Ok(listener) => listener,
            Err(_) => loopback().await?,
        };
        let options = ServeOptions {
            clock: Some(clock),
            live_page: true,
            ..ServeOptions::default()
        };
        let mut server = Server::start(&settings, listener, options).await?;
        let (client, secret) = server
            .first_client
            .take()
            .context("a fresh directory makes a client")?;
        receiver_for(&server, client).await?;
        let user: UserId = USER.parse()?;
        for cloud in link::CLOUDS {
            link::link(&server.engine, client, &user, &cloud)
                .await
                .with_context(|| format!("linking the demo account of {}", cloud.integration))?;
        }
        let client = (client.to_string(), secret.reveal().to_owned());
        Ok(Self {
            server,
            sandbox,
            client,
            directory,
        })
    }

    /// Stops everything and removes what was written.
    ///
    /// # Errors
    /// If the server broke.
    pub async fn shut_down(self) -> anyhow::Result<()> {
        self.server.shut_down().await?;
        self.sandbox.shutdown().await;
        std::fs::remove_dir_all(&self.directory.0).context("the demo's directory stays behind")
    }
}

async fn loopback() -> anyhow::Result<TcpListener> {
    bind(SocketAddr::from(([127, 0, 0, 1], 0))).await
}

async fn receiver_for(
    server: &Server,
    client: livewatt_domain::id::ClientId,
) -> anyhow::Result<()> {
    let listener = loopback().await?;
    let url = format!("http://{}/webhook", listener.local_addr()?);
    let secret = "demo-webhook-secret";
    receiver::serve(listener, secret.to_owned(), |line| say(&line));
    let input = WebhookInput {
        url: Some(url),
        secret: Some(secret.to_owned()),
        ..WebhookInput::default()
    };
    server.engine.create_webhook(client, input).await?;
    Ok(())
}

/// Runs the demo until it is interrupted, printing what happens.
///
/// # Errors
/// If a part cannot start or breaks.
pub async fn run(args: &DemoArgs, settings: Settings) -> anyhow::Result<()> {
    let demo = Demo::start(args, settings).await?;
    let (id, secret) = &demo.client;
    let address = &demo.server.public_url;
    say("");
    say("Livewatt demo: one API over six kinds of device, days going by in minutes.");
    say(&format!("  Live page      {address}live"));
    say(&format!("  API reference  {address}docs"));
    say(&format!("  Sandbox        {}", demo.sandbox.base_url()));
    say(&format!("  Client ID      {id}"));
    say(&format!("  Client secret  {secret}"));
    say(&format!(
        "  Time runs      {} times as fast; Ctrl-C ends it",
        args.speed
    ));
    say("");
    let client = id.parse()?;
    tokio::select! {
        () = table::print_now_and_then(&demo.server.engine, client) => {}
        stopped = interrupted() => stopped?,
    }
    say("stopping");
    demo.shut_down().await
}
