//! Who calls: the address that limits go by.
//!
//! Owns what a header may say about it. Trusts `X-Forwarded-For` only where a proxy that the
//! operator named wrote it: anybody can send one.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use axum::http::{Extensions, HeaderMap};

/// Where proxies write whom they speak for, the nearest last.
const FORWARDED_HEADER: &str = "x-forwarded-for";
/// Proxies behind each other that are followed.
const HOPS_MAX: usize = 8;

/// The other end of a connection, as the socket says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Whom a limit is for. An IPv6 client has at least a /64 to itself, so that is what counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Caller {
    V4(Ipv4Addr),
    /// The first 64 bits.
    V6(u64),
    /// The call came over no connection: a test's.
    Unknown,
}

impl From<IpAddr> for Caller {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments().map(u64::from);
                Self::V6(a << 48 | b << 32 | c << 16 | d)
            }
        }
    }
}

/// A proxy that may say whom it speaks for: an address, or a network as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedProxy {
    network: Ipv6Addr,
    prefix: u8,
}

/// It is no address and no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an IP address, or a network as 10.0.0.0/8")]
pub struct TrustedProxyError;

impl FromStr for TrustedProxy {
    type Err = TrustedProxyError;

    fn from_str(text: &str) -> Result<Self, TrustedProxyError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| TrustedProxyError)?;
        let bits: u8 = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| TrustedProxyError)?,
            None => bits,
        };
        if prefix > bits {
            return Err(TrustedProxyError);
        }
        Ok(Self {
            network: mapped(address),
            prefix: prefix.saturating_add(128 - bits),
        })
    }
}

impl fmt::Display for TrustedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.network.to_canonical() {
            IpAddr::V4(address) => write!(f, "{address}/{}", self.prefix.saturating_sub(96)),
            IpAddr::V6(address) => write!(f, "{address}/{}", self.prefix),
        }
    }
}

impl TrustedProxy {
    pub(super) fn holds(&self, address: IpAddr) -> bool {
        let differing = self.network.to_bits() ^ mapped(address).to_bits();
        differing.leading_zeros() >= u32::from(self.prefix)
    }
}

const fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// Who makes a call: the nearest address that is no trusted proxy's. What a client wrote itself
/// stands further away, and is never reached.
pub(super) fn caller(
    extensions: &Extensions,
    headers: &HeaderMap,
    trusted: &[TrustedProxy],
) -> Caller {
    let Some(Peer(peer)) = extensions.get() else {
        return Caller::Unknown;
    };
    let is_trusted = |address: IpAddr| trusted.iter().any(|proxy| proxy.holds(address));
    let mut nearest = peer.ip();
    let lines: Vec<_> = headers.get_all(FORWARDED_HEADER).iter().collect();
    let mut further = lines
        .into_iter()
        .rev()
        .flat_map(|line| line.to_str().unwrap_or_default().rsplit(','))
        .take(HOPS_MAX);
    while is_trusted(nearest) {
        // Something else than an address says nothing: the proxy's own is the limit's.
        match further.next().and_then(address) {
            Some(address) => nearest = address,
            None => break,
        }
    }
    nearest.into()
}

/// Some proxies add the port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let alone = bare.parse().ok();
    alone.or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn who(peer: &str, forwarded: &[&str], trusted: &[&str]) -> Caller {
        let mut extensions = Extensions::new();
        extensions.insert(Peer(SocketAddr::new(peer.parse().unwrap(), 4_000)));
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(FORWARDED_HEADER, line.parse().unwrap());
        }
        let trusted: Vec<_> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        caller(&extensions, &headers, &trusted)
    }

    fn of(address: &str) -> Caller {
        Caller::from(address.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn a_header_counts_only_from_a_trusted_proxy() {
        let forwarded = ["198.51.100.7"];
        assert_eq!(who("203.0.113.1", &forwarded, &[]), of("203.0.113.1"));
        assert_eq!(
            who("203.0.113.1", &forwarded, &["203.0.113.2"]),
            of("203.0.113.1")
        );
        assert_eq!(
            who("203.0.113.1", &forwarded, &["203.0.113.1"]),
            of("198.51.100.7")
        );
    }

    #[test]
    fn what_a_client_writes_itself_is_not_believed() {
        let trusted = ["127.0.0.1", "10.0.0.0/8"];
        // The proxy adds the client behind what the client had sent.
        let forged = ["1.1.1.1, 198.51.100.7"];
        assert_eq!(who("127.0.0.1", &forged, &trusted), of("198.51.100.7"));
        // Two proxies, each with a line of its own.
        let forged = ["1.1.1.1", "198.51.100.7, 10.1.2.3"];
        assert_eq!(who("127.0.0.1", &forged, &trusted), of("198.51.100.7"));
        // No address where one should be: the limit is the proxy's.
        assert_eq!(who("127.0.0.1", &["1.1.1.1, x"], &trusted), of("127.0.0.1"));
        assert_eq!(who("127.0.0.1", &[], &trusted), of("127.0.0.1"));
        let long = ["10.0.0.1,"; 100].concat() + "10.0.0.1";
        assert_eq!(who("127.0.0.1", &[&long], &trusted), of("10.0.0.1"));
    }

    #[test]
    fn a_client_has_a_64_of_ipv6_and_one_address_of_ipv4() {
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("203.0.113.1"), of("203.0.113.2"));
        assert_eq!(of("::ffff:203.0.113.1"), of("203.0.113.1"));
        let trusted = ["::1"];
        for written in ["2001:db8::7", "[2001:db8::7]", "[2001:db8::7]:443"] {
            assert_eq!(who("::1", &[written], &trusted), of("2001:db8::8"));
        }
        assert_eq!(who("::1", &["203.0.113.1:80"], &trusted), of("203.0.113.1"));
    }

    #[test]
    fn networks_of_proxies_are_read_strictly() {
        for (text, shown) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("127.0.0.1", "127.0.0.1/32"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::1", "::1/128"),
        ] {
            assert_eq!(text.parse::<TrustedProxy>().unwrap().to_string(), shown);
        }
        for wrong in [
            "",
            "x",
            "10.0.0.0/33",
            "::1/129",
            "10.0.0.0/",
            "10.0.0.0/-1",
        ] {
            assert_eq!(wrong.parse::<TrustedProxy>(), Err(TrustedProxyError));
        }
        assert!(
            "0.0.0.0/0"
                .parse::<TrustedProxy>()
                .unwrap()
                .holds([9, 9, 9, 9].into())
        );
    }
}
