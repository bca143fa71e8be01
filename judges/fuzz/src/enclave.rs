//! What a host or another operator sends: frames and requests, proposals, attestation documents.

use std::io::{self, Read, Write};
use std::sync::OnceLock;

use bitcoin::secp256k1::Secp256k1;
use grail_attest::dev::InsecureDevTee;
use grail_attest::{Expected, TrustAnchor, UnixTime, verify};
use grail_enclave::server::serve_requests;
use grail_policy::approve;
use grail_signer::{
    Entropy, Fault, Request, Signer, decode_answer, decode_proposal, decode_request,
    decode_response, encode_answer, encode_proposal, encode_request, encode_response,
};
use grail_types::{DevelopmentAllowed, Network, Params};

/// The parameters that the proposals of the corpus go by.
const PARAMS: &[u8] = include_bytes!("../fixtures/params.json");
/// The instant at which simulated hardware lives.
const NOW: UnixTime = UnixTime::from_millis(1_780_000_000_000);
/// Requests that a signer serves in one run: each may cost a signature.
const REQUESTS_MAX: usize = 8;

fn development() -> DevelopmentAllowed {
    DevelopmentAllowed::on(Network::Regtest).expect("regtest allows development roots")
}

fn params() -> &'static Params {
    static READ: OnceLock<Params> = OnceLock::new();
    READ.get_or_init(|| serde_json::from_slice(PARAMS).expect("the committed parameters are read"))
}

/// An attestation document under both anchors, at the instant that the first eight bytes say, in milliseconds. Whatever
/// is accepted is accepted again, and says what it says.
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

/// Messages of signers: what decodes encodes, and decodes again to the same. A proposal that decodes is judged by the
/// policy, under its own parameters' hash so that it gets past that check.
pub fn proposal(bytes: &[u8]) {
    if let Ok(request) = decode_request(bytes) {
        let encoded = encode_request(&request).expect("what decodes encodes");
        assert_eq!(decode_request(&encoded).ok(), Some(request));
    }
    if let Ok(response) = decode_response(bytes) {
        let encoded = encode_response(&response).expect("what decodes encodes");
        assert_eq!(decode_response(&encoded).ok(), Some(response));
    }
    if let Ok(answer) = decode_answer(bytes) {
        let encoded = encode_answer(&answer).expect("what decodes encodes");
        assert_eq!(decode_answer(&encoded).ok(), Some(answer));
    }
    let Ok(mut proposal) = decode_proposal(bytes) else {
        return;
    };
    let encoded = encode_proposal(&proposal).expect("what decodes encodes");
    assert_eq!(decode_proposal(&encoded).ok().as_ref(), Some(&proposal));
    proposal.params_hash = params().hash();
    let _ = approve(&Secp256k1::verification_only(), &proposal, params(), None);
}

/// A signer in simulated hardware behind the enclave's framing: the input is what the host writes.
pub fn enclave(bytes: &[u8]) {
    let tee = InsecureDevTee::new(development(), [0x21; 48], [0x31; 32], || NOW);
    let mut signer = Signer::new(Box::new(tee));
    let mut entropy = Counter(0);
    let mut served = 0;
    let mut stream = Host(bytes);
    let _ = serve_requests(&mut stream, |request: Request| {
        served += 1;
        if served > REQUESTS_MAX {
            return grail_signer::Response::Failed(Fault::new("enough", &"one run is enough"));
        }
        signer.handle(request, &mut entropy)
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
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Fault> {
        self.0 = self.0.wrapping_add(1);
        bytes.fill(self.0);
        Ok(())
    }
}
