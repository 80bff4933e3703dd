//! The files of `ops` and the package.

use std::{collections::BTreeSet, process::Command};

use serde_json::Value;

use super::{
    check_command,
    pages::{commands_of, read, root, settings, variables},
};

const UNIT: &str = "ops/systemd/livewatt.service";
const TEMPLATE: &str = "ops/systemd/livewatt@.service";
const CONTAINER: &str = "ops/container/Containerfile";
const COMPOSE: &str = "ops/container/compose.yml";

#[test]
fn settings_in_files_are_those_of_the_program() {
    let known = settings();
    let files = [
        UNIT,
        TEMPLATE,
        CONTAINER,
        COMPOSE,
        "ops/systemd/key.conf",
        "ops/debian/livewatt.toml",
    ];
    let named: BTreeSet<String> = files
        .into_iter()
        .flat_map(|file| variables(&read(file)))
        .collect();
    assert!(named.len() > 5, "{named:?}");
    assert!(named.is_subset(&known), "{:?}", named.difference(&known));
    let path = root().join("ops/debian/livewatt.toml");
    let loaded = livewatt::config::Settings::load(Some(&path), &[]).unwrap();
    assert_eq!(loaded.store.directory.to_str(), Some("/var/lib/livewatt"));
}

/// The directives of a unit.
fn directives(unit: &str) -> Vec<String> {
    let text = read(unit);
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(str::to_owned).collect()
}

#[test]
fn units_start_the_program_as_it_is() {
    for unit in [UNIT, TEMPLATE] {
        let all = directives(unit);
        let start = all.iter().find_map(|line| line.strip_prefix("ExecStart="));
        let calls = commands_of(start.unwrap());
        check_command(&calls[0], unit);
    }
    let (one, other) = (directives(UNIT), directives(TEMPLATE));
    let (one, other): (BTreeSet<_>, BTreeSet<_>) = (one.iter().collect(), other.iter().collect());
    let differ: Vec<&str> = other
        .difference(&one)
        .map(|line| line.split('=').next().unwrap())
        .collect();
    assert_eq!(
        differ,
        ["Description", "Environment", "ExecStart", "StateDirectory"]
    );
    assert_eq!(
        one.difference(&other).count(),
        3,
        "the template has all but those"
    );
}

#[test]
fn the_container_is_built_of_what_there_is() {
    let text = read(CONTAINER).replace("\\\n", " ");
    let ignored = read(".containerignore");
    let instructions = || text.lines().filter(|line| !line.starts_with('#'));
    let of = |name: &'static str| {
        instructions().filter_map(move |line| line.strip_prefix(name)?.strip_prefix(' '))
    };
    for from in of("FROM") {
        let image = from.split_whitespace().next().unwrap();
        let (name, tag) = image.rsplit_once(':').unwrap_or((image, ""));
        assert!(
            name.contains('/') && tag.starts_with(|c: char| c.is_ascii_digit()),
            "{image}"
        );
    }
    // The compiler is no older than the one that the crates ask for.
    let manifest = read("Cargo.toml");
    let version = manifest.split("rust-version = \"").nth(1).unwrap();
    let version = version.split('"').next().unwrap();
    assert!(text.contains(&format!("rust:{version}-")), "rust {version}");
    let mut copied = 0;
    for copy in of("COPY").filter(|copy| !copy.starts_with("--from")) {
        let mut sources: Vec<&str> = copy.split_whitespace().collect();
        sources.pop();
        for source in sources {
            assert!(root().join(source).exists(), "{source}");
            let kept = source.replace("APACHE", "*").replace("MIT", "*");
            assert!(
                ignored.contains(&format!("\n!{kept}\n")),
                "{source} is ignored"
            );
            copied += 1;
        }
    }
    assert_eq!(copied, 5);
    let words = |json: &str| serde_json::from_str::<Vec<String>>(json).unwrap();
    let entry = words(of("ENTRYPOINT").next().unwrap());
    let command = words(of("CMD").next().unwrap());
    let check = of("HEALTHCHECK").next().unwrap();
    let check = words(check.split_once("CMD ").unwrap().1);
    assert_eq!(
        (entry.as_slice(), check[0].as_str()),
        (&["livewatt".to_owned()][..], "livewatt")
    );
    for arguments in [&command[..], &check[1..]] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        check_command(&arguments, CONTAINER);
    }
    // Nobody of rights runs it, and what it builds is a profile and a program that there are.
    let user = of("USER").next().unwrap();
    assert!(
        user.split(':').all(|id| id.parse::<u32>().unwrap() > 0),
        "{user}"
    );
    assert!(manifest.contains("[profile.dist]"));
    assert!(text.contains("--from=build /source/target/dist/livewatt "));
}

#[test]
fn the_balancer_asks_what_nodes_answer() {
    let document: Value = serde_json::from_str(&read("crates/api/openapi.json")).unwrap();
    let balancer = read("ops/container/haproxy.cfg");
    let asked = balancer
        .lines()
        .find_map(|line| line.trim().strip_prefix("option httpchk GET "));
    let answers = &document["paths"][asked.unwrap()]["get"]["responses"];
    let expected = balancer
        .lines()
        .find_map(|line| line.trim().strip_prefix("http-check expect status "));
    assert!(answers[expected.unwrap()].is_object(), "{answers}");
    assert!(document["paths"]["/metrics"].is_object() && balancer.contains("path /metrics"));
    let compose = read(COMPOSE);
    for server in balancer
        .lines()
        .filter_map(|line| line.trim().strip_prefix("server "))
    {
        let name = server.split_whitespace().next().unwrap();
        assert!(compose.contains(&format!("\n  {name}:\n")), "{name}");
        assert!(
            compose.contains(&format!("LIVEWATT_CLUSTER__NAME: {name}\n")),
            "{name}"
        );
    }
}

#[test]
fn the_package_is_made_of_what_there_is() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = root().join("crates/livewatt/Cargo.toml");
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
            "--manifest-path",
        ])
        .arg(&manifest)
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let ours = packages
        .iter()
        .find(|package| package["name"] == "livewatt")
        .unwrap();
    let deb = &ours["metadata"]["deb"];
    let here = manifest.parent().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut places = BTreeSet::new();
    for asset in deb["assets"].as_array().unwrap() {
        let source = text(&asset[0]);
        assert!(
            source.starts_with("target/") || here.join(&source).exists(),
            "{source}"
        );
        places.insert(text(&asset[1]));
    }
    for place in [
        "usr/bin/",
        "usr/lib/systemd/system/",
        "etc/livewatt/livewatt.toml",
    ] {
        assert!(places.contains(place), "{place}: {places:?}");
    }
    for file in deb["conf-files"].as_array().unwrap() {
        assert!(
            places.contains(text(file).trim_start_matches('/')),
            "{file}"
        );
    }
    let scripts = here.join(text(&deb["maintainer-scripts"]));
    for script in ["postinst", "prerm", "postrm"] {
        let checked = Command::new("sh")
            .arg("-n")
            .arg(scripts.join(script))
            .status();
        assert!(checked.unwrap().success(), "{script}");
    }
    assert!(here.join(text(&deb["license-file"][0])).exists());
}
