use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::net::TcpListener;

use super::*;

const TRYING_OUT: EgressPolicy = EgressPolicy {
    allow_private: true,
};

fn check(url: &str) -> Result<(), Refusal> {
    EgressPolicy::default().check_url(&url.parse().unwrap())
}

/// Hosts that lead nowhere public, and why.
const INSIDE: [(&str, &str); 57] = [
    ("127.0.0.1", "loopback"),
    ("127.255.255.254", "loopback"),
    ("10.1.2.3", "private"),
    ("172.16.0.1", "private"),
    ("172.31.255.255", "private"),
    ("192.168.0.1", "private"),
    ("169.254.169.254", "link-local: metadata of clouds"),
    ("100.64.0.1", "carrier-grade NAT"),
    ("100.127.255.255", "carrier-grade NAT"),
    ("0.0.0.0", "unspecified"),
    ("0.1.2.3", "this network"),
    ("224.0.0.1", "multicast"),
    ("239.255.255.250", "multicast"),
    ("255.255.255.255", "broadcast"),
    ("240.0.0.1", "reserved"),
    ("192.0.0.8", "protocol assignments"),
    ("192.88.99.1", "relay to IPv6"),
    ("198.18.0.1", "benchmarking"),
    ("198.19.255.255", "benchmarking"),
    ("192.0.2.1", "documentation"),
    ("198.51.100.1", "documentation"),
    ("203.0.113.1", "documentation"),
    ("2130706433", "127.0.0.1 as one number"),
    ("0x7f000001", "127.0.0.1 in hexadecimal"),
    ("017700000001", "127.0.0.1 in octal"),
    ("0177.0.0.1", "127.0.0.1, partly octal"),
    ("0x7f.1", "127.0.0.1, short"),
    ("127.1", "127.0.0.1, short"),
    ("0", "0.0.0.0, short"),
    ("192.168.257", "192.168.1.1, short"),
    ("127.0.0.1.", "127.0.0.1 with a dot behind"),
    ("127%2e0%2e0%2e1", "127.0.0.1, escaped"),
    ("\u{ff11}\u{ff12}\u{ff17}.0.0.1", "127.0.0.1 in wide digits"),
    (
        "\u{2460}\u{2461}\u{2466}\u{3002}0\u{3002}0\u{3002}1",
        "127.0.0.1 in circled digits",
    ),
    ("[::]", "unspecified"),
    ("[::1]", "loopback"),
    ("[::ffff:10.0.0.1]", "IPv4-mapped"),
    ("[::ffff:7f00:1]", "IPv4-mapped"),
    ("[::10.0.0.1]", "IPv4-compatible"),
    ("[::8.8.8.8]", "IPv4-compatible: routed nowhere"),
    ("[::ffff:0:127.0.0.1]", "IPv4-translated"),
    ("[64:ff9b::10.0.0.1]", "NAT64"),
    ("[64:ff9b:1::8.8.8.8]", "NAT64 of the own network"),
    (
        "[64:ff9b:1:a00:0:100::]",
        "NAT64 of the own network, 10.0.0.1 within",
    ),
    ("[2002:7f00:1::]", "6to4 of 127.0.0.1"),
    ("[2002:a9fe:a9fe::1]", "6to4 of 169.254.169.254"),
    ("[2001:0:5ef5:79fd:0:0:80ff:fffe]", "Teredo of 127.0.0.1"),
    ("[2001:2::1]", "benchmarking"),
    ("[2001:db8::1]", "documentation"),
    ("[3fff::1]", "documentation"),
    ("[fe80::1]", "link-local"),
    ("[febf::1]", "link-local"),
    ("[fec0::1]", "site-local"),
    ("[fc00::1]", "unique local"),
    ("[fdff::1]", "unique local"),
    ("[ff02::1]", "multicast"),
    ("[100::1]", "discard"),
];

/// Names that never leave the network, in some of their spellings.
const LOCAL_NAMES: [&str; 9] = [
    "localhost",
    "LOCALHOST.",
    "a.localhost",
    "\u{24db}ocalhost",
    "localhos%74",
    "Printer.local.",
    "metadata.google.internal",
    "router.home.arpa",
    "router.home.arpa..",
];

#[test]
fn addresses_inside_are_refused_in_every_disguise() {
    for (host, why) in INSIDE {
        for url in [
            format!("https://{host}/hook"),
            format!("https://{host}:8443/"),
        ] {
            assert_eq!(check(&url), Err(Refusal::NotPublic), "{url}: {why}");
            let url = url.parse().unwrap();
            assert_eq!(TRYING_OUT.check_url(&url), Ok(()), "{url}");
        }
    }
}

#[test]
fn names_of_the_own_network_are_refused() {
    for name in LOCAL_NAMES {
        let url = format!("https://{name}/");
        // What is no name at all is refused before.
        if let Ok(parsed) = url.parse::<Url>() {
            assert_eq!(check(&url), Err(Refusal::NotPublic), "{url}");
            assert_eq!(TRYING_OUT.check_url(&parsed), Ok(()), "{url}");
        } else {
            assert_eq!(name, "router.home.arpa..");
        }
    }
}

#[test]
fn public_receivers_are_allowed() {
    for host in [
        "example.com",
        "example.com.",
        "hooks.example:8443",
        "b\u{fc}cher.example",
        "localhost.example.com",
        "internal.example",
        "93.184.216.34",
        "172.32.0.1",
        "100.128.0.1",
        "192.0.1.1",
        "[2606:4700::1111]",
        "[2001:200::1]",
        "[2001:4860:4860::8888]",
        "[::ffff:93.184.216.34]",
        "[64:ff9b::93.184.216.34]",
        "[2002:5db8:d822::1]",
    ] {
        assert_eq!(check(&format!("https://{host}/hook")), Ok(()), "{host}");
    }
}

#[test]
fn other_schemes_and_credentials_are_refused() {
    for url in [
        "http://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "data:,x",
    ] {
        assert_eq!(check(url), Err(Refusal::NotHttps), "{url}");
    }
    for url in [
        "ftp://example.com/",
        "file:///etc/passwd",
        "unix:/run/x.sock",
    ] {
        let url = url.parse().unwrap();
        assert_eq!(TRYING_OUT.check_url(&url), Err(Refusal::NotHttps), "{url}");
    }
    for url in [
        "https://user:pass@example.com/",
        "https://user@example.com/",
        "https://:pass@example.com/",
        "https://example.com@127.0.0.1/",
        "https://127.0.0.1:80\\@example.com@127.0.0.1/",
    ] {
        let refused = check(url);
        let expected = [Err(Refusal::HasCredentials), Err(Refusal::NotPublic)];
        assert!(expected.contains(&refused), "{url}: {refused:?}");
    }
}

/// A resolver that gives these answers, one after the other; the last for good.
#[derive(Debug)]
struct Scripted(Mutex<VecDeque<Vec<&'static str>>>);

impl Lookup for Scripted {
    fn lookup(&self, _name: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let mut script = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = match script.len() {
            1 => script[0].clone(),
            _ => script.pop_front().unwrap(),
        };
        let addresses = answer
            .iter()
            .map(|ip| SocketAddr::new(ip.parse().unwrap(), 0));
        Box::pin(std::future::ready(Ok(addresses.collect())))
    }
}

fn resolver(
    policy: EgressPolicy,
    script: impl IntoIterator<Item = Vec<&'static str>>,
) -> GuardedResolver {
    let lookup = Arc::new(Scripted(Mutex::new(script.into_iter().collect())));
    GuardedResolver { policy, lookup }
}

async fn resolved(resolver: &GuardedResolver) -> Result<Vec<String>, String> {
    match resolver.resolve("hooks.example".parse().unwrap()).await {
        Ok(found) => Ok(found.map(|address| address.ip().to_string()).collect()),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test]
async fn of_the_addresses_of_a_name_the_public_ones_are_left() {
    let script = [
        vec![
            "10.0.0.1",
            "93.184.216.34",
            "::1",
            "2606:4700::1111",
            "fd00::1",
        ],
        vec!["::ffff:127.0.0.1", "2001:0:5ef5:79fd:0:0:80ff:fffe"],
    ];
    let guarded = resolver(EgressPolicy::default(), script);
    let public = ["93.184.216.34", "2606:4700::1111"].map(str::to_owned);
    assert_eq!(resolved(&guarded).await.unwrap(), public);
    assert_eq!(
        resolved(&guarded).await,
        Err(Refusal::NotPublic.to_string())
    );
}

/// A name that is public when it is looked at and private when it is called: there is one look, and
/// it is the call's.
#[tokio::test]
async fn a_name_that_changes_its_address_gains_nothing() {
    let inside = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = inside.local_addr().unwrap().port();
    let calls = async |policy: EgressPolicy| {
        let guarded = resolver(policy, [vec!["93.184.216.34"], vec!["127.0.0.1"]]);
        assert_eq!(resolved(&guarded).await.unwrap(), ["93.184.216.34"]);
        let client = reqwest::Client::builder()
            .dns_resolver(guarded)
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .build()
            .unwrap();
        let url = format!("http://hooks.example:{port}/");
        tokio::select! {
            answer = client.get(url).send() => Err(answer.unwrap_err().is_connect()),
            reached = inside.accept() => Ok(reached.is_ok()),
        }
    };
    assert_eq!(calls(EgressPolicy::default()).await, Err(true));
    // The same without the guard, so that the test would notice.
    assert_eq!(calls(TRYING_OUT).await, Ok(true));
}

#[tokio::test]
async fn the_system_is_asked_and_guarded() {
    let resolver = GuardedResolver::new(EgressPolicy::default());
    let name = || "localhost".parse::<Name>().unwrap();
    assert!(resolver.resolve(name()).await.is_err());
    let open = GuardedResolver::new(TRYING_OUT);
    assert!(open.resolve(name()).await.is_ok());
}
