//! Several servers, some of which are gone or lie: one that works is enough.

use std::sync::Arc;

use grail_prover::{CharmsConfig, Prover, ProverVerdict, Provers};

use crate::server::{Behaviour, Server};
use crate::{cbor_of, client, code, config, deployment, made};

fn well() -> Behaviour {
    Behaviour::Answer(200, cbor_of(&[made(&deployment(0), None)]))
}

/// A valid proof of another spell than the one asked for.
fn lie() -> Behaviour {
    Behaviour::Answer(200, cbor_of(&[made(&deployment(1), None)]))
}

fn provers(servers: &[&Server]) -> Provers {
    let all = servers.iter().map(|server| {
        let config = CharmsConfig {
            attempts_max: 1,
            ..config(&server.url())
        };
        let prover: Arc<dyn Prover> = Arc::new(client(config));
        (server.url(), prover)
    });
    Provers::new(all.collect()).unwrap()
}

#[test]
fn a_second_server_proves_where_the_first_lies_refuses_or_is_gone() {
    let refusal = Behaviour::Answer(401, b"who are you".to_vec());
    for (bad, refusals) in [(lie(), 1), (refusal, 1), (Behaviour::Closes, 0)] {
        let first = Server::start(vec![bad.clone()]);
        let second = Server::start(vec![well()]);
        let provers = provers(&[&first, &second]);
        provers.prove(&deployment(0).1).unwrap();
        assert_eq!(first.requests().len(), 1, "{bad:?}");
        // A person hears of a refusal, though it changed nothing.
        let words = provers.take_refusals();
        assert_eq!(words.len(), refusals, "{bad:?}");
        assert!(
            words.iter().all(|it| it.contains(&first.url())),
            "{words:?}"
        );
        // The same is not asked of anybody again, and the first is spared.
        provers.prove(&deployment(0).1).unwrap();
        assert_eq!((first.requests().len(), second.requests().len()), (1, 1));
    }
}

#[test]
fn a_lie_is_no_verdict_while_another_server_is_gone() {
    let (liar, gone) = (
        Server::start(vec![lie()]),
        Server::start(vec![Behaviour::Closes]),
    );
    let outcome = provers(&[&liar, &gone]).prove(&deployment(0).1);
    assert_eq!(code(&outcome), "prove-unavailable");
    let (one, other) = (Server::start(vec![lie()]), Server::start(vec![lie()]));
    let error = provers(&[&one, &other])
        .prove(&deployment(0).1)
        .unwrap_err();
    assert_eq!(error.verdict(), ProverVerdict::Provers);
}
