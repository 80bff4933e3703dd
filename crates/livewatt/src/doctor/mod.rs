//! `livewatt doctor`: looks at an installation from outside and says what is wrong and what to do.
//!
//! It only looks: it takes no lock, writes nothing but a file that it removes again, and works
//! whether the server runs or not and whether its database can be opened or not. It ends with 0 if
//! all is well, 1 if something deserves a look, 2 if something must be mended.

mod checks;
mod machine;
mod nodes;

use std::process::ExitCode;

use livewatt_domain::{Timestamp, clock::Clock as _, clock::SystemClock};
use livewatt_store::{Inspection, SqliteOptions};
use serde::Serialize;

use crate::{
    admin::{self, ServerStatus},
    config::Settings,
    terminal::say,
};

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, but deserves a look.
    Warn,
    /// It must be mended.
    Fail,
}

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What was looked at, in one word.
    pub check: &'static str,
    /// How it stands.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// What to do about it, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Findings in the order of looking.
#[derive(Debug, Default)]
pub struct Report(Vec<Finding>);

impl Report {
    fn ok(&mut self, check: &'static str, found: impl Into<String>) {
        self.add(check, Level::Ok, found.into(), None);
    }

    fn warn(&mut self, check: &'static str, found: impl Into<String>, remedy: impl Into<String>) {
        self.add(check, Level::Warn, found.into(), Some(remedy.into()));
    }

    fn fail(&mut self, check: &'static str, found: impl Into<String>, remedy: impl Into<String>) {
        self.add(check, Level::Fail, found.into(), Some(remedy.into()));
    }

    fn add(&mut self, check: &'static str, level: Level, found: String, remedy: Option<String>) {
        self.0.push(Finding {
            check,
            level,
            found,
            remedy,
        });
    }

    /// What was found.
    pub fn findings(&self) -> &[Finding] {
        &self.0
    }

    /// The worst of it.
    pub fn level(&self) -> Level {
        let levels = self.0.iter().map(|finding| finding.level);
        levels.max().unwrap_or(Level::Ok)
    }

    /// Prints it and returns the exit code that goes with it.
    pub fn print(&self, as_json: bool) -> ExitCode {
        if as_json {
            for finding in &self.0 {
                say(&serde_json::to_string(finding).unwrap_or_default());
            }
        } else {
            for finding in &self.0 {
                let level = match finding.level {
                    Level::Ok => "ok  ",
                    Level::Warn => "warn",
                    Level::Fail => "FAIL",
                };
                say(&format!(
                    "{level}  {:<10}  {}",
                    finding.check, finding.found
                ));
                if let Some(remedy) = &finding.remedy {
                    say(&format!("                  {remedy}"));
                }
            }
        }
        ExitCode::from(self.level() as u8)
    }
}

/// Looks at the installation that the settings describe.
pub async fn examine(settings: anyhow::Result<Settings>) -> Report {
    let mut report = Report::default();
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => {
            let remedy = "mend the setting; `livewatt config` explains every key";
            report.fail("config", format!("{error:#}"), remedy);
            return report;
        }
    };
    report.ok("config", "every setting can be used");
    let now = SystemClock.now();
    let directory = settings.store.directory.clone();
    if !checks::directory(&mut report, &directory) {
        return report;
    }
    let server = server(&mut report, &settings).await;
    machine::space(&mut report, &directory);
    let inspection = database(&mut report, &settings, now).await;
    if let Some(inspection) = &inspection {
        checks::log(&mut report, &settings, inspection, now);
        checks::clock(&mut report, inspection, now);
        checks::accounts(&mut report, inspection);
        nodes::nodes(&mut report, &settings, inspection, now);
    }
    nodes::wakes(&mut report, &settings, server.as_ref()).await;
    nodes::export(&mut report, &settings, server.as_ref()).await;
    checks::key(&mut report, &settings, inspection.as_ref());
    checks::listening(&mut report, &settings, server.as_ref());
    checks::public_url(&mut report, &settings, server.as_ref());
    machine::files(&mut report, &settings, inspection.as_ref(), server.as_ref());
    report
}

async fn server(report: &mut Report, settings: &Settings) -> Option<ServerStatus> {
    match admin::server_status(&settings.store.directory).await {
        Ok(Some(status)) => {
            checks::server(report, &status);
            Some(status)
        }
        Ok(None) => {
            report.ok("server", "none runs in this directory");
            None
        }
        Err(error) => {
            let remedy = "look at its log; if it hangs, stop and start it";
            report.fail(
                "server",
                format!("it runs but does not answer: {error:#}"),
                remedy,
            );
            None
        }
    }
}

async fn database(report: &mut Report, settings: &Settings, now: Timestamp) -> Option<Inspection> {
    if let Some(options) = settings.postgres() {
        let looked = Inspection::of_postgres(&options, livewatt_engine::Vault::CHECK_NAME, now);
        return checks::database(report, settings, looked.await);
    }
    if !settings.database_file().exists() {
        report.ok("database", "there is none yet; the first start makes it");
        return None;
    }
    let options = SqliteOptions::new(&settings.store.directory);
    let look = move || Inspection::of(&options, livewatt_engine::Vault::CHECK_NAME, now);
    match tokio::task::spawn_blocking(look).await {
        Ok(looked) => checks::database(report, settings, looked),
        Err(error) => {
            report.fail("database", error.to_string(), "report this as a bug");
            None
        }
    }
}
