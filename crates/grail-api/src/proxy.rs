//! The way to the server: direct, or through a proxy that the environment names.

use std::net::IpAddr;

use ureq::Proxy;
use ureq::http::Uri;

/// The proxy of the environment on the way to `url`, if one is.
pub(crate) fn proxy_to(url: &str) -> Option<Proxy> {
    let uri: Uri = url.parse().ok()?;
    let proxy = Proxy::try_from_env()?;
    let is_direct = is_loopback(uri.host()?) || proxy.is_no_proxy(&uri);
    (!is_direct).then_some(proxy)
}

/// Whether a host is this machine, by its name or address.
fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.to_ascii_lowercase().ends_with(".localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn this_machine_is_known_by_each_of_its_names() {
        for host in [
            "127.0.0.1",
            "127.8.8.8",
            "[::1]",
            "::1",
            "LocalHost",
            "api.localhost",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "10.0.0.1",
            "localhost.example",
            "[2001:db8::1]",
            "example",
            "1270.0.0.1",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
