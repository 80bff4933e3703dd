//! A PostgreSQL server for the tests of one process: nothing needs to be running, nothing is left
//! behind.
//!
//! A shell makes and starts the server, on a socket in a temporary directory, and then waits on a
//! pipe from us, which also carries requests for databases. However this process ends, the pipe
//! closes, and the shell stops the server and removes the directory.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

/// The oldest version that will do.
const OLDEST: u32 = 15;

/// `$1`: the directory of the server's programs; `$2`: a port to listen on with TLS, if any. Whoever
/// is root is somebody else for the server, which refuses root.
const KEEPER: &str = r#"
set -u
trap '' HUP INT TERM
bin=$1
dir=$(mktemp -d "${TMPDIR:-/tmp}/livewatt-postgres.XXXXXX") || exit 1
as_owner() { "$@"; }
give() { :; }
if [ "$(id -u)" = 0 ]; then
    give() { chown -R postgres "$1"; }
    give "$dir"
    as_owner() { setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@"; }
fi
cd "$dir"
server() { as_owner "$bin/pg_ctl" -D "$dir/data" -l "$dir/server.log" -w -t 60 "$@" >"$dir/log" 2>&1; }
standby() {
    as_owner "$bin/pg_ctl" -D "$dir/standby" -l "$dir/standby.log" -w -t 60 "$@" >"$dir/log" 2>&1
}
# A copy that follows, at a socket of its own; from then on nothing is committed that it has not.
begin_standby() {
    as_owner mkdir "$dir/second" &&
        as_owner "$bin/pg_basebackup" -h "$dir" -U livewatt -D "$dir/standby" \
            --checkpoint=fast --no-sync --write-recovery-conf &&
        standby -o "-c unix_socket_directories=$dir/second" start &&
        as_owner "$bin/psql" -q -h "$dir" -U livewatt postgres \
            -c "alter system set synchronous_standby_names = '*'" -c 'select pg_reload_conf()' >"$dir/log"
}
finish() {
    [ ! -d "$dir/standby" ] || standby -m immediate stop
    server -m immediate stop
    cd /
    rm -rf "$dir"
}
trap finish EXIT
as_owner "$bin/initdb" -D "$dir/data" -U livewatt -A trust -E UTF8 --locale=C --no-sync \
    >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
cat >>"$dir/data/postgresql.conf" <<SETTINGS
unix_socket_directories = '$dir'
listen_addresses = ''
max_connections = 300
shared_buffers = 64MB
fsync = off
synchronous_commit = on
full_page_writes = off
autovacuum_naptime = 10s
SETTINGS
if [ -n "$2" ]; then
    as_owner openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
        -subj /CN=localhost -addext subjectAltName=DNS:localhost \
        -addext basicConstraints=critical,CA:FALSE \
        -keyout "$dir/data/server.key" -out "$dir/data/server.crt" >"$dir/log" 2>&1 ||
        { cat "$dir/log" >&2; exit 1; }
    cp "$dir/data/server.crt" "$dir/root.crt"
    printf '%s\n' "listen_addresses = 'localhost'" "port = $2" 'ssl = on' \
        >>"$dir/data/postgresql.conf"
fi
server start || { cat "$dir/log" "$dir/server.log" >&2; exit 1; }
echo "$dir"
at=$dir
while read -r request name; do
    case $request in
        create) "$bin/createdb" -h "$at" ${2:+-p $2} -U livewatt "$name" ;;
        drop) "$bin/dropdb" -h "$at" ${2:+-p $2} -U livewatt --force --if-exists "$name" ;;
        restart) server -m immediate restart ;;
        stop) server -m immediate stop ;;
        start) server start ;;
        standby) begin_standby ;;
        promote) standby promote && at=$dir/second ;;
        replace) server -m immediate stop && rm -rf "$dir/data" && cp -R "$name" "$dir/data" &&
            chmod 700 "$dir/data" && give "$dir/data" && server start ;;
    esac >&2 && echo ok || echo failed
done
"#;

/// A server of our own.
#[derive(Debug)]
pub struct PrivatePostgres {
    directory: PathBuf,
    /// With TLS, instead of the socket.
    port: Option<u16>,
    keeper: Mutex<Keeper>,
    databases: AtomicU32,
    is_promoted: AtomicBool,
}

#[derive(Debug)]
struct Keeper {
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// Ends by itself when `requests` is closed.
    _shell: Child,
}

/// A database of a private server, dropped with this.
#[derive(Debug)]
pub struct PrivateDatabase<'a> {
    server: &'a PrivatePostgres,
    name: String,
}

impl PrivatePostgres {
    /// The server of this process, started by the first who asks.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<PrivatePostgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Starts one more, for tests that stop it.
    ///
    /// # Panics
    /// If there are no programs of a server, or it does not start.
    pub fn start() -> Self {
        Self::start_at(None)
    }

    /// The same with TLS, at a port of this machine, under a certificate that only its own file
    /// vouches for.
    ///
    /// # Panics
    /// Likewise.
    pub fn start_with_tls() -> Self {
        let probe = TcpListener::bind("127.0.0.1:0").and_then(|probe| probe.local_addr());
        Self::start_at(Some(probe.expect("a port is free").port()))
    }

    fn start_at(port: Option<u16>) -> Self {
        let programs = programs().unwrap_or_else(|| {
            panic!("PostgreSQL {OLDEST} or later is needed: install the Debian package postgresql")
        });
        let mut shell = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(programs)
            .arg(port.map_or_else(String::new, |port| port.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell starts");
        let requests = shell.stdin.take().expect("it was asked for");
        let answers = shell.stdout.take().expect("it was asked for");
        let mut keeper = Keeper {
            requests,
            answers: BufReader::new(answers),
            _shell: shell,
        };
        let directory = PathBuf::from(keeper.answer());
        assert!(directory.is_absolute(), "the server did not start");
        Self {
            directory,
            port,
            keeper: Mutex::new(keeper),
            databases: AtomicU32::new(0),
            is_promoted: AtomicBool::new(false),
        }
    }

    /// A new database with nothing in it.
    pub fn database(&self) -> PrivateDatabase<'_> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        self.request(&format!("create {name}"));
        PrivateDatabase { server: self, name }
    }

    /// Stops the server at once, as if it were killed, and starts it again.
    pub fn restart(&self) {
        self.request("restart");
    }

    /// Stops the server at once.
    pub fn stop(&self) {
        self.request("stop");
    }

    /// Starts it after a stop.
    pub fn start_again(&self) {
        self.request("start");
    }

    /// Makes a second server that follows this one, synchronously: what is acknowledged is on both.
    pub fn begin_standby(&self) {
        self.request("standby");
    }

    /// Makes the second server one that can be written to.
    pub fn promote(&self) {
        self.request("promote");
        self.is_promoted.store(true, Ordering::Relaxed);
    }

    /// The socket of the one of the two servers that can be written to.
    pub fn socket(&self) -> PathBuf {
        self.socket_directory().join(".s.PGSQL.5432")
    }

    fn socket_directory(&self) -> PathBuf {
        match self.is_promoted.load(Ordering::Relaxed) {
            true => self.directory.join("second"),
            false => self.directory.clone(),
        }
    }

    /// Stops the server at once, forgets all that it has, and starts it on a copy of this directory:
    /// a base backup.
    pub fn replace(&self, with: &Path) {
        self.request(&format!("replace {}", with.display()));
    }

    fn request(&self, request: &str) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(keeper.requests, "{request}").expect("the keeper listens");
        assert_eq!(keeper.answer(), "ok", "{request}");
    }
}

impl Keeper {
    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .expect("the keeper answers");
        line.trim_end().to_owned()
    }
}

impl PrivateDatabase<'_> {
    /// What the server itself says to statements: the columns of a row with `|` between them, a row a
    /// line. It is asked with a program of its own, past everything that is tested.
    ///
    /// # Panics
    /// If it refuses.
    pub fn ask(&self, statements: &str) -> String {
        let asked = Command::new(programs().expect("a server runs").join("psql"))
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                "livewatt",
            ])
            .args(["-d", &self.name, "-c", statements, "-h"])
            .arg(self.server.socket_directory())
            .output()
            .expect("psql runs");
        let complaint = String::from_utf8_lossy(&asked.stderr);
        assert!(asked.status.success(), "{complaint}");
        String::from_utf8_lossy(&asked.stdout).trim_end().to_owned()
    }

    /// Its address.
    pub fn url(&self) -> String {
        let directory = self.server.socket_directory();
        let directory = directory.display();
        match self.server.port {
            Some(port) => format!("postgres://livewatt@localhost:{port}/{}", self.name),
            None => format!(
                "postgres://livewatt@localhost/{}?host={directory}",
                self.name
            ),
        }
    }

    /// Its name on the server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server that has it.
    pub fn server(&self) -> &PrivatePostgres {
        self.server
    }

    /// The file with the certificate of a server with TLS.
    pub fn certificate(&self) -> PathBuf {
        self.server.directory.join("root.crt")
    }
}

impl Drop for PrivateDatabase<'_> {
    fn drop(&mut self) {
        // With the process ending, the keeper may be gone, and the database with it.
        let keeper = &self.server.keeper;
        let mut keeper = keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if writeln!(keeper.requests, "drop {}", self.name).is_ok() {
            keeper.answer();
        }
    }
}

/// A program of the server's, such as `pg_dump`.
///
/// # Panics
/// If there are none.
pub fn program(name: &str) -> PathBuf {
    let programs = programs().expect("the Debian package postgresql is installed");
    programs.join(name)
}

/// The directory with the programs of the newest server that is installed.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let versions = versions.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let programs = |version: u32| Path::new("/usr/lib/postgresql").join(format!("{version}/bin"));
    versions
        .filter(|version| *version >= OLDEST && programs(*version).join("initdb").exists())
        .max()
        .map(programs)
}
