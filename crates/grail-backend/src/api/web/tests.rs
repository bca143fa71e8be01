#![allow(clippy::unwrap_used)]
use axum::{
    body::to_bytes,
    http::{HeaderMap, StatusCode},
    routing::get,
};
use tower::ServiceExt as _;

use super::*;
use crate::api::answer;

/// An API of one route, with the page around it.
fn served(args: &WebArgs) -> Router {
    let api = Router::new()
        .route("/v1/status", get(|| async { "status" }))
        .fallback(answer::not_found)
        .method_not_allowed_fallback(answer::method_not_allowed);
    around(api, Web::of(args, Network::Regtest).unwrap())
}

fn embedded() -> Router {
    served(&WebArgs::default())
}

struct Got {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |it| it.to_str().unwrap())
    }

    fn is_page(&self) -> bool {
        self.status == StatusCode::OK && self.body.starts_with(b"<!doctype html>")
    }

    fn is_problem(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
            && self.header("content-type") == "application/problem+json"
    }
}

async fn call(router: &Router, method: Method, path: &str, worker: Option<&str>) -> Got {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(worker) = worker {
        request = request.header("service-worker", worker);
    }
    let request = request.body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    Got {
        status: parts.status,
        headers: parts.headers,
        body: to_bytes(body, usize::MAX).await.unwrap().to_vec(),
    }
}

async fn got(router: &Router, path: &str) -> Got {
    call(router, Method::GET, path, None).await
}

#[tokio::test]
async fn every_screen_is_the_page() {
    let router = embedded();
    for path in [
        "/",
        "/index.html",
        "/peg-in",
        "/requests/ab",
        "/nothing",
        "/v1x",
    ] {
        assert!(got(&router, path).await.is_page(), "{path}");
    }
}

#[tokio::test]
async fn what_is_the_apis_stays_the_apis() {
    let router = embedded();
    assert_eq!(got(&router, "/v1/status").await.body, b"status");
    for path in [
        "/v1",
        "/v1/nothing",
        "/v1/peg-in.js",
        "/metrics",
        "/healthz",
        "/openapi.json",
    ] {
        assert!(got(&router, path).await.is_problem(), "{path}");
    }
    let posted = call(&router, Method::POST, "/peg-in", None).await;
    assert!(posted.is_problem());
    assert!(posted.headers.get("content-security-policy").is_none());
}

#[tokio::test]
async fn a_missing_file_is_an_error_and_no_page() {
    let router = embedded();
    for path in [
        "/assets/gone.js",
        "/sw.js",
        "/../Cargo.toml",
        "/%2e%2e/Cargo.toml",
        "/files.rs",
    ] {
        assert!(got(&router, path).await.is_problem(), "{path}");
    }
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere_and_makes_no_scripts() {
    let page = got(&embedded(), "/").await;
    let policy = page.header("content-security-policy");
    for rule in [
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "style-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "trusted-types svelte-trusted-html grail-worker",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.split("; ").any(|part| part.trim() == rule), "{rule}");
    }
    assert!(!policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"));
    for (name, value) in [
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-embedder-policy", "require-corp"),
        ("cross-origin-resource-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-cache"),
    ] {
        assert_eq!(page.header(name), value, "{name}");
    }
    assert!(page.header("permissions-policy").contains("camera=()"));
    assert_eq!(page.header("access-control-allow-origin"), "");
    let text = String::from_utf8(page.body).unwrap();
    assert!(!text.contains("<style") && !text.contains("http://") && !text.contains("https://"));
    assert_eq!(
        text.matches("<script").count(),
        text.matches("<script type=\"module\"").count()
    );
}

#[tokio::test]
async fn files_with_a_hash_in_their_name_are_kept_for_good() {
    let router = embedded();
    let page = String::from_utf8(got(&router, "/").await.body).unwrap();
    let (_, after) = page.split_once("src=\"").unwrap();
    let script = after.split('"').next().unwrap();
    let script = got(&router, script).await;
    assert_eq!(script.status, StatusCode::OK);
    assert_eq!(
        script.header("content-type"),
        "text/javascript; charset=utf-8"
    );
    assert_eq!(script.header("content-encoding"), "gzip");
    assert_eq!(script.header("cache-control"), headers::IMMUTABLE);
    assert_eq!(
        script.header("cross-origin-embedder-policy"),
        "require-corp"
    );
    assert_eq!(script.body[..2], [0x1f, 0x8b]);
    assert_eq!(
        got(&router, "/manifest.json").await.header("cache-control"),
        "no-cache"
    );
}

#[tokio::test]
async fn a_service_worker_is_told_to_go_on_every_path() {
    let none = served(&WebArgs {
        no_web: true,
        ..WebArgs::default()
    });
    for router in [embedded(), none] {
        for path in ["/", "/sw.js", "/assets/x.js", "/v1/status", "/v1/nothing"] {
            let worker = call(&router, Method::GET, path, Some("script")).await;
            assert_eq!(worker.status, StatusCode::OK, "{path}");
            assert_eq!(worker.header("content-type"), "text/javascript");
            assert_eq!(worker.header("cache-control"), "no-store");
            let text = String::from_utf8(worker.body).unwrap();
            assert!(text.contains("registration.unregister()"), "{path}");
        }
    }
    let other = call(&embedded(), Method::GET, "/v1/status", Some("no")).await;
    assert_eq!(other.body, b"status");
}

#[tokio::test]
async fn the_page_is_told_its_network_and_nothing_else() {
    let got = got(&embedded(), "/config.json").await;
    assert_eq!(got.header("cache-control"), "no-cache");
    let config: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
    let expected = serde_json::json!({
        "network": "regtest",
        "development": cfg!(feature = "development"),
    });
    assert_eq!(config, expected);
    let signet: serde_json::Value = serde_json::from_slice(&config_of_signet()).unwrap();
    assert_eq!(signet["development"], false);
}

fn config_of_signet() -> Vec<u8> {
    config(Network::Signet)
}

#[tokio::test]
async fn without_a_page_everything_is_the_apis() {
    let router = served(&WebArgs {
        no_web: true,
        ..WebArgs::default()
    });
    for path in ["/", "/peg-in", "/config.json"] {
        assert!(got(&router, path).await.is_problem(), "{path}");
    }
}

#[tokio::test]
async fn another_folder_is_served_and_its_links_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret.js");
    std::fs::write(&secret, "secret").unwrap();
    let page = folder.path().join("page");
    std::fs::create_dir_all(page.join("assets")).unwrap();
    let args = WebArgs {
        web: Some(page.clone()),
        no_web: false,
    };
    assert!(Web::of(&args, Network::Regtest).is_err(), "no index.html");
    std::fs::write(page.join("index.html"), "<!doctype html>another").unwrap();
    std::fs::write(page.join("assets/a.js"), "a").unwrap();
    std::os::unix::fs::symlink(&secret, page.join("assets/b.js")).unwrap();
    let router = served(&args);
    assert_eq!(got(&router, "/").await.body, b"<!doctype html>another");
    let script = got(&router, "/assets/a.js").await;
    assert_eq!(
        (script.header("content-encoding"), script.body.as_slice()),
        ("", &b"a"[..])
    );
    assert!(got(&router, "/assets/b.js").await.is_problem());
}

#[test]
fn what_ships_has_no_core_with_the_development_root() {
    let Some(web) = Web::of(&WebArgs::default(), Network::Regtest).unwrap() else {
        panic!("a page is built in");
    };
    let page = format!("{:?}", web.files);
    assert!(page.contains("assets/core-"));
    let has = page.contains("assets/core-development-");
    assert_eq!(has, cfg!(feature = "development"));
}
