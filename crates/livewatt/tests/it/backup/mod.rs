//! Backups: made while everything moves, put back after all else is gone, as docs/deploy.md tells.

mod refusals;
mod story;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use livewatt_store::{
    PostgresOptions, PostgresStore, SqliteOptions, SqliteStore, Store,
    contract::private_postgres::{PrivateDatabase, PrivatePostgres, program},
};

use self::story::{Way, is_put_back};
use crate::{
    cli::{run, said},
    durability::stage::Stage,
};

/// Runs a program to its end, which must be a good one.
fn well(command: &mut Command) {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The key of a directory, kept apart as operators are told to.
fn key(data: &Path) -> Vec<u8> {
    fs::read(data.join("secret.key")).unwrap()
}

/// A new directory with nothing in it but the key.
fn new_machine(data: &Path, key: &[u8]) {
    fs::remove_dir_all(data).unwrap();
    fs::create_dir(data).unwrap();
    fs::write(data.join("secret.key"), key).unwrap();
}

/// `livewatt backup`.
struct Sqlite {
    key: Vec<u8>,
}

impl Way for Sqlite {
    fn copy(&mut self, stage: &Stage, to: &Path) {
        let data = stage.data();
        let told = said(&run(&["backup", text(to), "--data", text(&data)]));
        assert!(told.contains("sound"), "{told}");
        assert!(told.contains("secret.key apart"), "{told}");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let names: Vec<_> = fs::read_dir(to)
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        assert_eq!(names, [to.join("livewatt.db")], "and no key");
        assert_eq!((mode(to), mode(&names[0])), (0o700, 0o600));
        self.key = key(&data);
    }

    fn put_back(&mut self, stage: &mut Stage, from: &Path) {
        new_machine(&stage.data(), &self.key);
        fs::copy(from.join("livewatt.db"), stage.data().join("livewatt.db")).unwrap();
    }

    async fn store(&self, stage: &Stage) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(&SqliteOptions::new(stage.data())).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_sqlite_made_under_load_is_put_back() {
    let stage = Stage::set(1).await;
    is_put_back(stage, Sqlite { key: Vec::new() }).await;
}

async fn postgres(stage: &Stage) -> Arc<dyn Store> {
    let options = PostgresOptions::new(stage.database.as_ref().unwrap());
    Arc::new(PostgresStore::open(&options).await.unwrap())
}

/// What is left to do after PostgreSQL's own programs.
fn mark_restored(stage: &Stage) {
    let url = stage.database.as_ref().unwrap();
    let data = stage.data();
    said(&run(&[
        "mark-restored",
        "--data",
        text(&data),
        "--database-url",
        url,
    ]));
}

/// `pg_dump` and `pg_restore`.
struct Dump {
    database: Option<PrivateDatabase<'static>>,
}

impl Way for Dump {
    fn copy(&mut self, stage: &Stage, to: &Path) {
        let mut dump = Command::new(program("pg_dump"));
        dump.args(["--format=custom", "--file", text(to)]);
        well(dump.arg(stage.database.as_ref().unwrap()));
    }

    fn put_back(&mut self, stage: &mut Stage, from: &Path) {
        let key = key(&stage.data());
        new_machine(&stage.data(), &key);
        self.database = None;
        let database = PrivatePostgres::shared().database();
        let mut restore = Command::new(program("pg_restore"));
        restore.args(["--exit-on-error", "--no-owner", "--dbname", &database.url()]);
        well(restore.arg(from));
        stage.database = Some(database.url());
        self.database = Some(database);
        mark_restored(stage);
    }

    async fn store(&self, stage: &Stage) -> Arc<dyn Store> {
        postgres(stage).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_of_postgresql_made_under_load_is_put_back() {
    let database = PrivatePostgres::shared().database();
    let stage = Stage::set_on(Some(database.url()), 2).await;
    let way = Dump {
        database: Some(database),
    };
    is_put_back(stage, way).await;
}

/// `pg_basebackup`: the files of the whole server.
struct BaseBackup<'a> {
    server: &'a PrivatePostgres,
}

impl Way for BaseBackup<'_> {
    fn copy(&mut self, stage: &Stage, to: &Path) {
        let mut copy = Command::new(program("pg_basebackup"));
        copy.args([
            "--checkpoint=fast",
            "--wal-method=stream",
            "--pgdata",
            text(to),
        ]);
        well(copy.args(["--dbname", stage.database.as_ref().unwrap()]));
        let mut verify = Command::new(program("pg_verifybackup"));
        well(verify.arg(to));
    }

    fn put_back(&mut self, stage: &mut Stage, from: &Path) {
        let key = key(&stage.data());
        new_machine(&stage.data(), &key);
        self.server.replace(from);
        mark_restored(stage);
    }

    async fn store(&self, stage: &Stage) -> Arc<dyn Store> {
        postgres(stage).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_backup_of_postgresql_made_under_load_is_put_back() {
    let server = PrivatePostgres::start();
    let database = server.database();
    let stage = Stage::set_on(Some(database.url()), 3).await;
    is_put_back(stage, BaseBackup { server: &server }).await;
}

/// Where a story puts its copy.
fn place_of_copy(stage: &Stage) -> PathBuf {
    stage.directory.path().join("copy")
}
