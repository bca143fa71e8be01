//! What a host or another operator sends: frames and requests, proposals, attestation documents.

use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::sync::OnceLock;

use bitcoin::secp256k1::Secp256k1;
use grail_ask::{Ask, Challenge, Evidence, Hello, Reply};
use grail_attest::{Expected, Protocol, TrustAnchor, UnixTime, verify};
use grail_attest_dev::InsecureDevTee;
use grail_enclave::server::serve_requests;
use grail_policy::judge;
use grail_signer::{Effect, Entropy, EntropyError, Input, Node};
use grail_types::{DevelopmentAllowed, Epoch, Network};
use grail_wire::{
    Answer, Envelope, Fault, FaultCode, Request, Response, WireMessage, decode, decode_proposal,
    encode, encode_proposal,
};

/// What the proposals of the corpus go by.
const PROTOCOL: &[u8] = include_bytes!("../fixtures/protocol.json");
/// The instant at which simulated hardware lives.
const NOW: UnixTime = UnixTime::from_millis(1_780_000_000_000);
/// Requests that a signer serves in one run: each may cost a signature.
const REQUESTS_MAX: usize = 8;

fn development() -> DevelopmentAllowed {
    DevelopmentAllowed::on(Network::Regtest).expect("regtest allows development roots")
}

fn protocol() -> &'static Protocol {
    static READ: OnceLock<Protocol> = OnceLock::new();
    READ.get_or_init(|| serde_json::from_slice(PROTOCOL).expect("the committed file is read"))
}

/// An attestation document under both anchors, at the instant that the first eight bytes say, in
/// milliseconds. Whatever is accepted is accepted again, and says what it says.
pub fn attestation(bytes: &[u8]) {
    let Some((instant, document)) = bytes.split_first_chunk::<8>() else {
        return;
    };
    let at = UnixTime::from_millis(u64::from_be_bytes(*instant));
    for anchor in [
        TrustAnchor::aws_nitro(),
        TrustAnchor::development(development()),
    ] {
        let Ok(verified) = verify(document, &anchor, at) else {
            continue;
        };
        let (user_data, nonce) = (
            verified.user_data().map(<[u8]>::to_vec),
            verified.nonce().map(<[u8]>::to_vec),
        );
        let expected = Expected {
            references: &[],
            user_data: user_data.as_deref(),
            nonce: nonce.as_deref(),
        };
        verified
            .expect(&expected)
            .expect_err("no image is listed, none is accepted");
    }
}

/// Messages: what decodes encodes, and decodes again to the same. A proposal that decodes has the
/// one encoding that it came in, and is judged by the policy: as it is, and under the parameters
/// that the corpus goes by, so that it gets past that check.
pub fn proposal(bytes: &[u8]) {
    round_trip::<Request>(bytes);
    round_trip::<Response>(bytes);
    round_trip::<Answer>(bytes);
    round_trip::<Ask>(bytes);
    round_trip::<Reply>(bytes);
    round_trip::<Challenge>(bytes);
    round_trip::<Evidence>(bytes);
    round_trip::<Hello>(bytes);
    let Ok(mut proposal) = decode_proposal(bytes) else {
        return;
    };
    let encoded = encode_proposal(&proposal).expect("what decodes encodes");
    assert_eq!(encoded, bytes, "two encodings of one proposal");
    let secp = Secp256k1::verification_only();
    let _ = judge(&secp, &proposal, protocol().bridge());
    proposal.params = protocol().params().clone();
    let _ = judge(&secp, &proposal, protocol().bridge());
}

fn round_trip<M: WireMessage + PartialEq + Debug>(bytes: &[u8]) {
    let Ok(Envelope { epoch, message }) = decode::<M>(bytes) else {
        return;
    };
    let encoded = encode(epoch, &message).expect("what decodes encodes");
    let again = decode::<M>(&encoded).expect("what was encoded decodes");
    assert_eq!((again.epoch, again.message), (epoch, message));
}

/// A signer in simulated hardware behind the enclave's framing: the input is what the host writes.
pub fn enclave(bytes: &[u8]) {
    let tee = InsecureDevTee::new(development(), [0x21; 48], [0x31; 32], || NOW);
    let mut node = Node::new(Box::new(tee));
    let mut entropy = Counter(0);
    let mut served = 0;
    let mut stream = Host(bytes);
    let _ = serve_requests(&mut stream, |request: Request| {
        served += 1;
        if served > REQUESTS_MAX {
            let fault = Fault::new(FaultCode::EnclaveLost, "one run is enough");
            return (Epoch(0), Response::Failed(fault));
        }
        let effects = node.handle(Input::Request(request), &mut entropy);
        let responded = effects.into_iter().find_map(|effect| match effect {
            Effect::Respond { epoch, response } => Some((epoch, response)),
            Effect::Keep(_) => None,
        });
        responded.expect("a node answers every request")
    });
}

/// Reads what the host wrote, and takes any answer.
struct Host<'a>(&'a [u8]);

impl Read for Host<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Host<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Randomness that is the same in every run.
struct Counter(u8);

impl Entropy for Counter {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        self.0 = self.0.wrapping_add(1);
        bytes.fill(self.0);
        Ok(())
    }
}
