//! `livewatt`: one live API over every energy device.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use livewatt::{
    admin::{Administration, ClientRow, NewClient},
    backup::{self, BackupArgs},
    bench::{self, BenchArgs, PeerCommand},
    config::{DEFAULTS, Settings},
    demo::{self, DemoArgs},
    doctor,
    freshness::{self, FreshnessArgs},
    health,
    migrate::{self, MigrateCommand},
    nodes::{self, NodesArgs},
    sandbox::{self, SandboxArgs},
    serve::{ServeOptions, Server, bind},
    telemetry,
    terminal::{interrupted, interruption, say},
};
use livewatt_domain::id::ClientId;

/// Fetches allocate much and on every thread: the system's allocator took a quarter of their time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One live API over every energy device: vehicles, chargers, HVACs, inverters, batteries, meters.
///
/// Start with `livewatt demo`: it needs nothing and shows everything.
#[derive(Debug, Parser)]
#[command(version, about, long_about)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Common {
    /// Settings file (TOML); `livewatt config` shows what can be in it.
    #[arg(long, global = true, env = "LIVEWATT_CONFIG")]
    config: Option<PathBuf>,
    /// Directory of the database [default: livewatt-data]
    #[arg(long, global = true)]
    data: Option<PathBuf>,
    /// PostgreSQL database, instead of one in the directory: `postgres://user:password@host/name`.
    /// LIVEWATT_STORE__URL does the same and does not show the password in lists of processes.
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
    /// What to log: error, warn, info, debug, trace, or targets [default: info]
    #[arg(long, global = true)]
    log: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(ServeArgs),
    /// Run a server, a sandbox, a linked user and a webhook receiver, and show them at work.
    Demo(DemoArgs),
    /// Run the sandbox alone: three vendor clouds whose devices move, for your own tests.
    Sandbox(SandboxArgs),
    /// Manage clients (the customers of this installation), also while the server runs.
    #[command(subcommand)]
    Client(ClientCommand),
    /// Look for what is wrong with an installation, running or not, and say what to do.
    ///
    /// Ends with 0 if all is well, 1 if something deserves a look, 2 if something must be mended.
    Doctor {
        /// Print a JSON object a line: check, level (ok, warn, fail), found, remedy.
        #[arg(long)]
        json: bool,
    },
    /// Ask the server that listens on this machine whether it works: for a container's health check.
    ///
    /// Ends with 0 if it does, 1 if it does not.
    Health,
    /// Copy the database in the directory, also while the server runs.
    Backup(BackupArgs),
    /// Tell a database that was put back to an older state of that, before its servers start.
    ///
    /// New events then come after all that were made before, also those that the older state does
    /// not know, so that no reader of the event log passes over them. A copy made by `livewatt
    /// backup` has been told so already.
    MarkRestored,
    /// Measure how fast this program is on this machine, beside the least that would do.
    Bench(BenchArgs),
    /// Runs beside a bench, started by it.
    #[command(subcommand, hide = true)]
    BenchPeer(PeerCommand),
    /// How fresh data was, and which promises were broken, also while the server runs.
    Freshness(FreshnessArgs),
    /// The nodes that share a PostgreSQL database, and how many partitions each owns.
    Nodes(NodesArgs),
    /// Move an installation to another database.
    #[command(subcommand)]
    Migrate(MigrateCommand),
    /// Print the OpenAPI document of the API.
    Openapi,
    /// Print the commented default settings.
    Config,
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// Address to listen on [default: 127.0.0.1:8080]
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Address under which this server is reached [default: the address listened on]
    #[arg(long)]
    public_url: Option<String>,
    /// Address of a running `livewatt sandbox` whose clouds may be linked.
    #[arg(long)]
    sandbox_url: Option<String>,
    /// DANGEROUS: deliver webhooks to private and loopback addresses too.
    #[arg(long)]
    dangerous_allow_private_receivers: bool,
}

#[derive(Debug, Subcommand)]
enum ClientCommand {
    /// Make a client; prints its ID and secret once.
    Create {
        /// A name for people.
        name: String,
        /// Largest number of vendor accounts it may link.
        #[arg(long)]
        connection_limit: Option<u32>,
    },
    /// List clients.
    List,
    /// Give a client a new secret; the old one and all its tokens die at once.
    RotateSecret {
        /// The client's ID.
        id: ClientId,
    },
    /// Delete a client with all its users, devices and webhooks.
    Delete {
        /// The client's ID.
        id: ClientId,
        /// Really do it.
        #[arg(long)]
        yes: bool,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Command::Doctor { json } = cli.command {
        // It also says what is wrong with the settings.
        return doctor::examine(load(&cli)).await.print(json);
    }
    match run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One cause a line: the first says what, the last says why.
            use std::io::Write as _;
            let mut err = std::io::stderr().lock();
            let _ = writeln!(err, "livewatt: {error}");
            for cause in error.chain().skip(1) {
                let _ = writeln!(err, "  because: {cause}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let settings = load(&cli)?;
    match cli.command {
        Command::Serve(_) => serve(&settings).await,
        Command::Demo(args) => {
            telemetry::start_logs(&settings.log)?;
            demo::run(&args, settings).await
        }
        Command::Sandbox(args) => {
            telemetry::start_logs(&settings.log)?;
            let sandbox = sandbox::start(&args).await?;
            say(&format!("sandbox listens on {}", sandbox.base_url()));
            interrupted().await?;
            sandbox.shutdown().await;
            Ok(())
        }
        Command::Client(command) => client(&settings, command).await,
        // Done before, since it must also look at settings that cannot be used.
        Command::Doctor { .. } => Ok(()),
        Command::Health => health::run(&settings).await,
        Command::Backup(args) => backup::run(&settings, &args).await,
        Command::MarkRestored => backup::mark_restored(&settings).await,
        Command::Bench(args) => {
            telemetry::start_logs(&settings.log)?;
            bench::run(
                &args,
                cli.common.data,
                settings.postgres().map(|options| options.url),
            )
            .await
        }
        Command::BenchPeer(command) => bench::run_peer(&command).await,
        Command::Freshness(args) => freshness::run(&settings, &args).await,
        Command::Nodes(args) => nodes::run(&settings, &args).await,
        Command::Migrate(command) => migrate::run(&settings, &command).await,
        Command::Openapi => {
            say(&livewatt_api::openapi()
                .to_pretty_json()
                .context("the document cannot be printed")?);
            Ok(())
        }
        Command::Config => {
            say(DEFAULTS.trim_end());
            Ok(())
        }
    }
}

fn load(cli: &Cli) -> anyhow::Result<Settings> {
    let mut flags: Vec<(&str, String)> = Vec::new();
    let mut set = |key: &'static str, value: Option<String>| {
        if let Some(value) = value {
            flags.push((key, value));
        }
    };
    set(
        "store.directory",
        cli.common
            .data
            .as_ref()
            .map(|path| path.display().to_string()),
    );
    set("store.url", cli.common.database_url.clone());
    set("log.level", cli.common.log.clone());
    if let Command::Demo(_) | Command::Bench(_) = &cli.command
        && cli.common.log.is_none()
    {
        // The terminal belongs to what is shown on it.
        set("log.level", Some("warn".to_owned()));
    }
    if let Command::Serve(args) = &cli.command {
        set(
            "server.listen",
            args.listen.map(|address| address.to_string()),
        );
        set("server.public_url", args.public_url.clone());
        set("sandbox.url", args.sandbox_url.clone());
        if args.dangerous_allow_private_receivers {
            set(
                "webhooks.dangerous_allow_private_receivers",
                Some("true".to_owned()),
            );
        }
    }
    Settings::load(cli.common.config.as_ref(), &flags)
}

async fn serve(settings: &Settings) -> anyhow::Result<()> {
    telemetry::start_logs(&settings.log)?;
    let interrupted = interruption()?;
    let listener = bind(settings.server.listen).await?;
    let clock = match settings.sandbox_url()? {
        Some(url) if settings.sandbox.follow_clock => Some(sandbox::clock_of(&url).await?),
        _ => None,
    };
    let options = ServeOptions {
        clock,
        ..ServeOptions::default()
    };
    let mut server = Server::start(settings, listener, options).await?;
    if let Some((id, secret)) = server.first_client.take() {
        say("This is the first start. Keep these; the secret is not shown again:");
        say(&format!("  client ID      {id}"));
        say(&format!("  client secret  {}", secret.reveal()));
    }
    say(&format!("livewatt listens on http://{}", server.address));
    tracing::info!(address = %server.address, public_url = %server.public_url, "ready");
    tokio::select! {
        interrupted = interrupted => interrupted?,
        () = server.stopping() => {
            server.wait().await?;
            anyhow::bail!("the server has stopped by itself; the log says why");
        }
    }
    tracing::info!("stopping");
    server.shut_down().await
}

async fn client(settings: &Settings, command: ClientCommand) -> anyhow::Result<()> {
    telemetry::start_logs(&livewatt::config::LogSettings {
        level: "warn".to_owned(),
        format: settings.log.format,
    })?;
    let administration = Administration::open(settings).await?;
    match command {
        ClientCommand::Create {
            name,
            connection_limit,
        } => {
            let made = administration
                .create(&NewClient {
                    name,
                    connection_limit,
                })
                .await?;
            say(&format!("client ID      {}", made.id));
            say(&format!(
                "client secret  {}",
                made.secret.unwrap_or_default()
            ));
            say("The secret is not shown again.");
        }
        ClientCommand::List => {
            for row in administration.list().await? {
                say(&line(&row));
            }
        }
        ClientCommand::RotateSecret { id } => {
            say(&format!(
                "client secret  {}",
                administration.rotate_secret(id).await?
            ));
            say("The old secret and all tokens are dead; this one is not shown again.");
        }
        ClientCommand::Delete { id, yes } => {
            anyhow::ensure!(
                yes,
                "this deletes all users and devices of {id}; add --yes to do it"
            );
            administration.delete(id).await?;
            say(&format!("client {id} is deleted"));
        }
    }
    Ok(())
}

fn line(row: &ClientRow) -> String {
    let limit = row
        .connection_limit
        .map_or("no limit".to_owned(), |n| format!("limit {n}"));
    format!(
        "{}  {}  {:<10}  {}",
        row.id, row.created_at, limit, row.name
    )
}
