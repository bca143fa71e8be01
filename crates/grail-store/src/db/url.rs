//! Which database a URL names, and what it must not say.

use std::net::IpAddr;

use sqlx::any::AnyConnectOptions;

/// The kind of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A file of this machine: `sqlite:PATH`.
    Sqlite,
    /// A server: `postgres://USER@HOST/DATABASE`.
    Postgres,
}

/// Why a URL names no database that may be used. Says nothing of what the URL holds, which may be
/// secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Neither of the two.
    #[error("expected sqlite:PATH or postgres://USER@HOST/DATABASE")]
    Scheme,
    /// It cannot be read.
    #[error("the URL of the database cannot be read")]
    Unreadable,
    /// It says neither host nor folder of a socket.
    #[error("the URL of the database names no host")]
    Host,
    /// It names no database, or no user.
    #[error("the URL must name a user and a database")]
    Name,
    /// It has a password in it, which every user of the machine could read.
    #[error(
        "the URL has a password in it: put it into a file of mode 600, and name that in PGPASSFILE"
    )]
    Password,
    /// The server is on another machine and nothing says that it is the right one.
    #[error(
        "a database on another machine takes sslmode=verify-full (or verify-ca) and sslrootcert"
    )]
    Unprotected,
}

impl Engine {
    /// What `url` names; whether it may be used.
    ///
    /// # Errors
    /// [`UrlError`], which says why not.
    pub fn of(url: &str) -> Result<Self, UrlError> {
        read(url).map(|(engine, _)| engine)
    }
}

/// The kind of a database, and how to connect to it.
pub(crate) fn read(url: &str) -> Result<(Engine, AnyConnectOptions), UrlError> {
    sqlx::any::install_default_drivers();
    let engine = match url.split_once(':') {
        Some(("sqlite", path)) if !path.is_empty() => Engine::Sqlite,
        Some(("postgres" | "postgresql", _)) => Engine::Postgres,
        _ => return Err(UrlError::Scheme),
    };
    let mut options: AnyConnectOptions = url.parse().map_err(|_| UrlError::Unreadable)?;
    let url = &mut options.database_url;
    if url.fragment().is_some() {
        // What stands behind `#` would be cut off a file's name.
        return Err(UrlError::Unreadable);
    }
    match engine {
        Engine::Sqlite => {
            if !url.query_pairs().any(|(name, _)| name == "mode") {
                url.query_pairs_mut().append_pair("mode", "rwc");
            }
        }
        Engine::Postgres => check(url)?,
    }
    Ok((engine, options))
}

fn check(url: &::url::Url) -> Result<(), UrlError> {
    let named = |names: &'static [&'static str]| {
        url.query_pairs()
            .filter(|(name, _)| names.contains(&name.as_ref()))
            .map(|(_, value)| value.into_owned())
            .collect::<Vec<_>>()
    };
    if url.password().is_some() || !named(&["password"]).is_empty() {
        return Err(UrlError::Password);
    }
    let has_name = !url.path().trim_start_matches('/').is_empty() || !named(&["dbname"]).is_empty();
    let has_user = !url.username().is_empty() || !named(&["user"]).is_empty();
    if !has_name || !has_user {
        return Err(UrlError::Name);
    }
    let mut hosts = named(&["host", "hostaddr"]);
    // Encoded in a URL: the folder of a socket begins with a slash.
    let own = url.host_str().filter(|host| !host.is_empty());
    hosts.extend(own.map(|host| match host.get(..3) {
        Some("%2F" | "%2f") => "/".to_owned(),
        _ => host.to_owned(),
    }));
    if hosts.is_empty() {
        return Err(UrlError::Host);
    }
    let modes = named(&["sslmode", "ssl-mode"]);
    let is_verified = !modes.is_empty()
        && (modes.iter()).all(|mode| matches!(mode.as_str(), "verify-full" | "verify-ca"));
    if is_verified || hosts.iter().all(|host| is_here(host)) {
        Ok(())
    } else {
        Err(UrlError::Unprotected)
    }
}

/// Whether what is said there never leaves this machine.
fn is_here(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.starts_with('/')
        || host == "localhost"
        || address.parse::<IpAddr>().is_ok_and(|it| it.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_database_that_nobody_listens_in_on() {
        for (url, expected) in [
            ("sqlite:grail.db", Ok(Engine::Sqlite)),
            ("sqlite:///var/lib/grail.db?mode=rw", Ok(Engine::Sqlite)),
            ("sqlite:", Err(UrlError::Scheme)),
            ("sqlite:/srv/disk#1/grail.db", Err(UrlError::Unreadable)),
            ("mysql://grail@localhost/grail", Err(UrlError::Scheme)),
            ("grail.db", Err(UrlError::Scheme)),
            ("postgres://grail@localhost/grail", Ok(Engine::Postgres)),
            (
                "postgresql://grail@127.0.0.1:5433/grail",
                Ok(Engine::Postgres),
            ),
            ("postgres://grail@[::1]/grail", Ok(Engine::Postgres)),
            (
                "postgres://grail@%2Frun%2Fpostgresql/grail",
                Ok(Engine::Postgres),
            ),
            (
                "postgres:///grail?user=grail&host=/run/postgresql",
                Ok(Engine::Postgres),
            ),
            (
                "postgres://grail@db.example/grail?sslmode=verify-full",
                Ok(Engine::Postgres),
            ),
            (
                "postgres://grail@db.example/grail?sslmode=verify-ca",
                Ok(Engine::Postgres),
            ),
            (
                "postgres://grail@db.example/grail",
                Err(UrlError::Unprotected),
            ),
            (
                "postgres://grail@db.example/grail?sslmode=require",
                Err(UrlError::Unprotected),
            ),
            (
                "postgres://grail@db.example/grail?sslmode=verify-full&ssl-mode=disable",
                Err(UrlError::Unprotected),
            ),
            (
                "postgres://grail@localhost/grail?host=db.example",
                Err(UrlError::Unprotected),
            ),
            (
                "postgres://grail@localhost/grail?hostaddr=10.0.0.1",
                Err(UrlError::Unprotected),
            ),
            (
                "postgres://grail:secret@localhost/grail",
                Err(UrlError::Password),
            ),
            (
                "postgres://grail@localhost/grail?password=secret",
                Err(UrlError::Password),
            ),
            ("postgres://localhost/grail", Err(UrlError::Name)),
            ("postgres://grail@localhost", Err(UrlError::Name)),
            ("postgres:///grail?user=grail", Err(UrlError::Host)),
        ] {
            assert_eq!(Engine::of(url), expected, "{url}");
        }
    }
}
