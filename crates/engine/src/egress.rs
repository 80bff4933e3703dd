//! Guard of calls to addresses that customers choose: the URL, the resolved address, and (there
//! are none) redirects.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Which receivers may be called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EgressPolicy {
    /// Also private, loopback and link-local addresses, and plain HTTP. For trying out; whoever
    /// may create webhooks can then make this server call anything it can reach.
    pub allow_private: bool,
}

/// Why an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not HTTPS.
    #[error("must begin with https://")]
    NotHttps,
    /// Carries a user name or password, which would end up in logs.
    #[error("must not contain a user name or password; use the authentication header")]
    HasCredentials,
    /// No host.
    #[error("must name a host")]
    NoHost,
    /// Private, loopback, link-local or otherwise not on the public internet.
    #[error("must not lead to a private, loopback or link-local address")]
    NotPublic,
}

impl EgressPolicy {
    /// Checks what can be told from a URL alone.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn check_url(self, url: &Url) -> Result<(), Refusal> {
        match url.scheme() {
            "https" => {}
            "http" if self.allow_private => {}
            _ => return Err(Refusal::NotHttps),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::HasCredentials);
        }
        let is_allowed = |ip: IpAddr| self.allow_private || is_public(ip);
        match url.host() {
            None => Err(Refusal::NoHost),
            Some(Host::Ipv4(ip)) if !is_allowed(ip.into()) => Err(Refusal::NotPublic),
            Some(Host::Ipv6(ip)) if !is_allowed(ip.into()) => Err(Refusal::NotPublic),
            Some(Host::Domain(name)) if !self.allow_private && is_local_name(name) => {
                Err(Refusal::NotPublic)
            }
            Some(_) => Ok(()),
        }
    }
}

/// Names that never leave the machine or its network, whatever they resolve to.
fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let suffixes = [".localhost", ".local", ".internal", ".home.arpa"];
    name == "localhost" || suffixes.iter().any(|suffix| name.ends_with(suffix))
}

/// Whether an address is on the public internet.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(ip.is_unspecified()
        || a == 0
        || ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_broadcast()
        || ip.is_documentation()
        || ip.is_multicast()
        // Carrier-grade NAT (RFC 6598), protocol assignments, benchmarking, reserved.
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19))
        || a >= 240)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    // Addresses that carry an IPv4 address lead where that leads: mapped, compatible, NAT64, 6to4.
    if let Some(inner) = embedded_v4(ip) {
        return is_public_v4(inner);
    }
    let first = ip.segments()[0];
    // Only 2000::/3 is given out; 2001:db8::/32 is for documentation.
    (0x2000..0x4000).contains(&first) && !(first == 0x2001 && ip.segments()[1] == 0xdb8)
}

fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = ip.segments();
    let low = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match s {
        [0, 0, 0, 0, 0, 0xffff | 0, high, rest] => Some(low(high, rest)),
        [0x64, 0xff9b, .., high, rest] => Some(low(high, rest)),
        [0x2002, high, rest, ..] => Some(low(high, rest)),
        _ => None,
    }
}

/// Resolves names and drops addresses that are not public, at the moment of connecting: a name
/// that changes its address after the check gains nothing.
#[derive(Debug)]
pub(crate) struct GuardedResolver {
    pub policy: EgressPolicy,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.policy;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found
                .filter(|address| policy.allow_private || is_public(address.ip()))
                .collect();
            if allowed.is_empty() {
                return Err(Box::new(Refusal::NotPublic).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str) -> Result<(), Refusal> {
        EgressPolicy::default().check_url(&url.parse().unwrap())
    }

    #[test]
    fn addresses_inside_are_refused_in_every_disguise() {
        for url in [
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://10.1.2.3/",
            "https://169.254.169.254/latest",
            "https://100.64.0.1/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[64:ff9b::a00:1]/",
            "https://[2002:7f00:1::]/",
            "https://[fe80::1]/",
            "https://[fd00::1]/",
            "https://localhost/",
            "https://Printer.local./",
            "https://0.0.0.0/",
        ] {
            assert_eq!(check(url), Err(Refusal::NotPublic), "{url}");
        }
    }

    #[test]
    fn public_https_is_allowed_and_plain_http_is_not() {
        assert_eq!(check("https://example.com/hook"), Ok(()));
        assert_eq!(check("https://93.184.216.34/hook"), Ok(()));
        assert_eq!(check("http://example.com/hook"), Err(Refusal::NotHttps));
        assert_eq!(
            check("https://user:pass@example.com/"),
            Err(Refusal::HasCredentials)
        );
        let trying_out = EgressPolicy {
            allow_private: true,
        };
        assert_eq!(
            trying_out.check_url(&"http://127.0.0.1:9/".parse().unwrap()),
            Ok(())
        );
    }

    #[tokio::test]
    async fn a_name_that_resolves_inside_is_refused() {
        let resolver = GuardedResolver {
            policy: EgressPolicy::default(),
        };
        let name = || "localhost".parse::<Name>().unwrap();
        assert!(resolver.resolve(name()).await.is_err());
        let open = GuardedResolver {
            policy: EgressPolicy {
                allow_private: true,
            },
        };
        assert!(open.resolve(name()).await.is_ok());
    }
}
