//! Guard of calls to addresses that customers choose: the URL, the resolved address, and (there
//! are none) redirects.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use futures::future::BoxFuture;
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
        // Carrier-grade NAT (RFC 6598), protocol assignments, relays to IPv6, benchmarking, reserved.
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || a >= 240)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    // Addresses that carry an IPv4 address lead where that leads: mapped, NAT64, 6to4.
    if let Some(inner) = embedded_v4(ip) {
        return is_public_v4(inner);
    }
    let [first, second, ..] = ip.segments();
    // Only 2000::/3 is given out. Of that, 2001::/23 is for protocols (Teredo among them, which
    // carries an IPv4 address in disguise), 2001:db8::/32 and 3fff::/20 for documentation.
    (0x2000..0x4000).contains(&first)
        && !(first == 0x2001 && (second < 0x200 || second == 0xdb8))
        && !(first == 0x3fff && second < 0x1000)
}

fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = ip.segments();
    let low = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, rest] => Some(low(high, rest)),
        // The well-known prefix alone: where others put the IPv4 address is not known here.
        [0x64, 0xff9b, 0, 0, 0, 0, high, rest] => Some(low(high, rest)),
        [0x2002, high, rest, ..] => Some(low(high, rest)),
        _ => None,
    }
}

/// Where addresses of names come from.
pub(crate) trait Lookup: Send + Sync + std::fmt::Debug {
    /// The addresses of a name; what ports they carry is of no meaning.
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;
}

/// The operating system's resolver.
#[derive(Debug)]
pub(crate) struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
    }
}

/// Resolves names and drops addresses that are not public, at the moment of connecting: what was
/// checked is what is connected to, so a name that changes its address gains nothing.
#[derive(Debug)]
pub(crate) struct GuardedResolver {
    policy: EgressPolicy,
    lookup: Arc<dyn Lookup>,
}

impl GuardedResolver {
    /// A resolver that asks the operating system.
    pub(crate) fn new(policy: EgressPolicy) -> Self {
        Self {
            policy,
            lookup: Arc::new(SystemLookup),
        }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.policy;
        let found = self.lookup.lookup(name.as_str().to_owned());
        Box::pin(async move {
            let mut addresses = found.await?;
            addresses.retain(|address| policy.allow_private || is_public(address.ip()));
            if addresses.is_empty() {
                return Err(Box::new(Refusal::NotPublic).into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests;
