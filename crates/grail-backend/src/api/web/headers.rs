//! The headers of the page.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Response, header},
};

/// Everything that the page may do, and nothing else: scripts, styles, workers and calls of its own
/// address, and wasm. No script makes one of a text (Trusted Types): Svelte's own policy and the
/// one for the core's worker are all that there are.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; \
    style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; \
    worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; trusted-types svelte-trusted-html grail-worker; \
    require-trusted-types-for 'script'";
/// What a page could ask a device for; this one asks for the clipboard alone.
const PERMISSIONS_POLICY: &str = "accelerometer=(), camera=(), display-capture=(), \
    geolocation=(), gyroscope=(), hid=(), magnetometer=(), microphone=(), midi=(), payment=(), \
    serial=(), usb=(), clipboard-write=(self)";

const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-embedder-policy"),
        "require-corp",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        PERMISSIONS_POLICY,
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// For what carries the hash of its content in its name.
pub(super) const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// For what may be another tomorrow.
pub(super) const NO_CACHE: &str = "no-cache";
/// For what nobody should keep.
pub(super) const NO_STORE: &str = "no-store";

/// Sets one header.
pub(super) fn set(response: &mut Response<Body>, name: HeaderName, value: &'static str) {
    let value = HeaderValue::from_static(value);
    response.headers_mut().insert(name, value);
}

/// The answer with every header of the page.
pub(super) fn of_a_page(mut response: Response<Body>, caching: &'static str) -> Response<Body> {
    for (name, value) in HEADERS {
        set(&mut response, name, value);
    }
    set(&mut response, header::CACHE_CONTROL, caching);
    response
}
