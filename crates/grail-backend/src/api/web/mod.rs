//! The page that the backend serves beside its API (ADR 39).
//!
//! Owns which file answers which path, and the headers of a page that loads nothing from anywhere
//! else. Trusts the files that it was built with, or the folder that whoever runs the backend
//! names. Never opens a file while it answers: a path is looked up in a table, so that none leads
//! out of it.

mod files;
mod headers;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, Response, header},
    middleware::{self, Next},
    response::IntoResponse as _,
};
use grail_types::Network;

use super::answer::Failure;
use files::{File, Files};

/// Where the page comes from.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct WebArgs {
    /// A folder with the page, as `cargo xtask web` writes it; without it the one that is built in
    #[arg(long, value_name = "DIR", conflicts_with = "no_web")]
    web: Option<PathBuf>,
    /// Serve the API alone, and no page
    #[arg(long)]
    no_web: bool,
}

/// A page to be served.
#[derive(Debug)]
pub struct Web {
    files: Files,
    config: Vec<u8>,
}

impl Web {
    /// The one that is asked for, for a bridge of `network`.
    pub fn of(args: &WebArgs, network: Network) -> anyhow::Result<Option<Arc<Self>>> {
        if args.no_web {
            return Ok(None);
        }
        let files = match &args.web {
            Some(folder) => Files::read(folder)?,
            None => Files::embedded(),
        };
        Ok(Some(Arc::new(Self {
            files,
            config: config(network),
        })))
    }

    /// The file of a path; `index.html` for a screen of the page.
    fn file(&self, path: &str) -> Option<&File> {
        let name = path.trim_start_matches('/');
        if let Some(file) = self.files.get(name) {
            return Some(file);
        }
        let is_screen = !name
            .rsplit('/')
            .next()
            .is_some_and(|last| last.contains('.'));
        self.files.get("index.html").filter(|_| is_screen)
    }
}

/// What the page is told of its bridge. Nothing here is believed where money is concerned.
fn config(network: Network) -> Vec<u8> {
    let is_development = cfg!(feature = "development") && network == Network::Regtest;
    serde_json::json!({ "network": network.to_string(), "development": is_development })
        .to_string()
        .into_bytes()
}

/// The API's routes with the page around them.
pub(super) fn around(api: Router, web: Option<Arc<Web>>) -> Router {
    api.layer(middleware::from_fn_with_state(web, page))
}

/// Answers what is the page's, and leaves the rest to the API.
async fn page(State(web): State<Option<Arc<Web>>>, request: Request, next: Next) -> Response<Body> {
    if is_for_a_service_worker(&request) {
        return headers::of_a_page(no_worker(), headers::NO_STORE);
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let path = request.uri().path();
    let Some(web) = web.filter(|_| reads && !is_of_the_api(path)) else {
        return next.run(request).await;
    };
    if path == "/config.json" {
        let mut response = Response::new(Body::from(web.config.clone()));
        headers::set(&mut response, header::CONTENT_TYPE, "application/json");
        return headers::of_a_page(response, headers::NO_CACHE);
    }
    match web.file(path) {
        Some(file) => headers::of_a_page(file.response(), file.caching()),
        // A script that is missing is an error, and not a page.
        None => Failure::not_found("no such file").into_response(),
    }
}

/// Paths that are the API's, also where it has nothing: whoever mistypes one is told so.
fn is_of_the_api(path: &str) -> bool {
    const ALONE: [&str; 5] = ["/healthz", "/livez", "/readyz", "/metrics", "/openapi.json"];
    path == "/v1" || path.starts_with("/v1/") || ALONE.contains(&path)
}

/// Whether a browser asks for the script of a service worker (Service Workers, 5.1).
fn is_for_a_service_worker(request: &Request) -> bool {
    let asked = request.headers().get("service-worker");
    asked.is_some_and(|value| value.as_bytes() == b"script")
}

/// The page has no service worker. One that is there was registered by another page from this
/// address, and answers in its place until it is told to go.
const NO_WORKER: &str = "\
self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil((async () => {
  await self.registration.unregister();
  for (const page of await self.clients.matchAll({ type: 'window' })) page.navigate(page.url);
})()));
";

fn no_worker() -> Response<Body> {
    let mut response = Response::new(Body::from(NO_WORKER));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/javascript"),
    );
    response
}
