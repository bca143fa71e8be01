//! Enclaves on paper, whose evidence is made by the development TEE and verified as production
//! does; and streams between two channels that a host may tamper with.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::indexing_slicing,
    missing_docs,
    dead_code,
    reason = "support of tests"
)]

use std::{cell::RefCell, collections::BTreeSet, sync::Arc};

use bitcoin::{
    XOnlyPublicKey,
    secp256k1::{Keypair, Secp256k1},
};
use grail_attest::{Image, ImageClass, Images, PinnedImages, TeeKind, UnixTime};
use grail_attest_dev::{InsecureDevTee, development_pcr0};
use grail_channel::{
    AttestVerifier, Channel, Claim, Dial, DocumentCache, EvidenceRefused, Gate, Input, Listen,
    Local, Millis, Output, Peer, PeerId, Premises, Proof, Reason, Seed, Statement, Verifier,
    Vouched,
};
use grail_tee::Attester;
use grail_types::{
    BoundedBytes, Bridge, BridgeApp, DevelopmentAllowed, Epoch, ImagesHash, Network, Params,
    ParamsHash,
};

pub const AT: UnixTime = UnixTime::from_secs(1_795_000_000);
pub const START: Millis = Millis(1_000_000);
pub const BRIDGE: Bridge = Bridge {
    network: Network::Regtest,
    app: BridgeApp {
        identity: [4; 32],
        vk: [5; 32],
    },
};
pub const PREMISES: Premises = Premises {
    bridge: BRIDGE,
    epoch: Epoch(7),
    params: ParamsHash([6; 32]),
};

pub fn seed(number: u64) -> Seed {
    let mut bytes = [9; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Seed::from_random(Box::new(bytes.into()))
}

/// A key by number.
pub fn pair(number: u16) -> Keypair {
    let mut secret = [1; 32];
    secret[..2].copy_from_slice(&number.to_be_bytes());
    Keypair::from_seckey_slice(&Secp256k1::new(), &secret).unwrap()
}

pub fn public(pair: &Keypair) -> XOnlyPublicKey {
    pair.x_only_public_key().0
}

/// One run of an operator's enclave.
pub struct Enclave {
    pub signer: Keypair,
    pub instance: Keypair,
    pub tee: InsecureDevTee,
    pub premises: Premises,
}

impl Enclave {
    /// Operator `signer`, whose key is number `signer`, in its run `instance`.
    pub fn new(signer: u16, instance: u16) -> Self {
        Self::running(b"signer", signer, instance)
    }

    pub fn running(program: &[u8], signer: u16, instance: u16) -> Self {
        Self::with_pcr0(development_pcr0(program), signer, instance)
    }

    pub fn with_pcr0(pcr0: [u8; 48], signer: u16, instance: u16) -> Self {
        let allowed = DevelopmentAllowed::on(Network::Regtest).unwrap();
        Self {
            signer: pair(signer),
            instance: pair(1_000 + instance),
            tee: InsecureDevTee::new(allowed, pcr0, [1; 32], || AT),
            premises: PREMISES,
        }
    }

    pub fn at_epoch(mut self, epoch: u64) -> Self {
        self.premises.epoch = Epoch(epoch);
        self
    }

    pub fn id(&self) -> PeerId {
        PeerId {
            signer: public(&self.signer),
            instance: public(&self.instance),
        }
    }

    pub fn local(&self) -> Local {
        Local {
            premises: self.premises,
            id: self.id(),
            images_counter: 1,
        }
    }

    /// The honest node's answer to `Output::Prove`: it speaks for its own keys alone.
    pub fn prove(&self, statement: &Statement) -> Proof {
        assert_eq!(statement.speaker(), self.id());
        self.prove_anything(statement)
    }

    pub fn prove_anything(&self, statement: &Statement) -> Proof {
        let evidence = statement.attest(&self.tee as &dyn Attester).unwrap();
        proof(statement, &self.signer, &self.instance, evidence)
    }
}

pub fn proof(
    statement: &Statement,
    signer: &Keypair,
    instance: &Keypair,
    evidence: Vec<u8>,
) -> Proof {
    let secp = Secp256k1::new();
    Proof {
        signer: secp.sign_schnorr_no_aux_rand(&statement.signer_message(), signer),
        instance: secp.sign_schnorr_no_aux_rand(&statement.instance_message(), instance),
        evidence: BoundedBytes::new(evidence).unwrap(),
    }
}

/// Those who are let in: operators 1 to 9.
pub fn members() -> Arc<BTreeSet<XOnlyPublicKey>> {
    Arc::new((1..10).map(|number| public(&pair(number))).collect())
}

pub fn images() -> PinnedImages {
    let measurement = grail_attest_dev::development_measurement(development_pcr0(b"signer"));
    let image = Image {
        tee: TeeKind::Development,
        class: ImageClass::Resident,
        measurement,
    };
    let images = Images::new(1, vec![image]).unwrap();
    let hash: ImagesHash = images.hash();
    PinnedImages::new(images, &Params::preset(BRIDGE.network, hash)).unwrap()
}

/// Production's verification, counted.
pub struct Counting {
    pub images: PinnedImages,
    pub cache: DocumentCache,
    pub asked: usize,
}

impl Counting {
    pub fn new() -> Self {
        Self {
            images: images(),
            cache: DocumentCache::default(),
            asked: 0,
        }
    }
}

impl Verifier for Counting {
    fn verify(&mut self, claim: &Claim, evidence: &[u8]) -> Result<Vouched, EvidenceRefused> {
        self.asked += 1;
        AttestVerifier {
            images: &self.images,
            at: AT,
            cache: &mut self.cache,
        }
        .verify(claim, evidence)
    }
}

type Prover<'a> = Box<dyn Fn(&Statement) -> Option<Proof> + 'a>;

/// A channel with the node and the shell around it.
pub struct End<'a> {
    pub channel: Channel,
    pub prover: Prover<'a>,
    pub verifier: Counting,
    /// Frames to be carried away.
    pub outbox: Vec<Vec<u8>>,
    pub messages: Vec<Vec<u8>>,
    pub peer: Option<Peer>,
    pub closed: Vec<Reason>,
}

impl<'a> End<'a> {
    pub fn new(channel: Channel, outputs: Vec<Output>, prover: Prover<'a>) -> Self {
        let mut end = Self {
            channel,
            prover,
            verifier: Counting::new(),
            outbox: Vec::new(),
            messages: Vec::new(),
            peer: None,
            closed: Vec::new(),
        };
        end.carry_out(START, outputs);
        end
    }

    pub fn dialling(enclave: &'a Enclave, to: XOnlyPublicKey, number: u64) -> Self {
        Self::dialling_as(enclave.local(), to, number, |said| {
            Some(enclave.prove(said))
        })
    }

    pub fn dialling_as(
        local: Local,
        to: XOnlyPublicKey,
        number: u64,
        prover: impl Fn(&Statement) -> Option<Proof> + 'a,
    ) -> Self {
        let seed = seed(number);
        let (channel, outputs) = Channel::dial(START, Dial { local, to, seed });
        Self::new(channel, outputs, Box::new(prover))
    }

    pub fn listening(enclave: &'a Enclave, number: u64) -> Self {
        Self::listening_as(enclave.local(), number, None, |said| {
            Some(enclave.prove(said))
        })
    }

    pub fn listening_as(
        local: Local,
        number: u64,
        gate: Option<Gate>,
        prover: impl Fn(&Statement) -> Option<Proof> + 'a,
    ) -> Self {
        let listen = Listen {
            local,
            members: members(),
            seed: seed(number),
            gate,
        };
        Self::new(Channel::listen(START, listen), Vec::new(), Box::new(prover))
    }

    pub fn feed(&mut self, now: Millis, input: Input<'_>) {
        let outputs = self.channel.handle(now, input, &mut self.verifier);
        self.carry_out(now, outputs);
    }

    fn carry_out(&mut self, now: Millis, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Bytes(bytes) => self.outbox.push(bytes),
                Output::Prove(statement) => match (self.prover)(&statement) {
                    Some(proof) => self.feed(now, Input::Proven(Box::new(proof))),
                    None => self.feed(now, Input::Unproven),
                },
                Output::Established(peer) => {
                    assert!(self.peer.replace(*peer).is_none());
                }
                Output::Message(message) => self.messages.push(message),
                Output::NotSent(why) => panic!("not sent: {why}"),
                Output::Closed(reason) => self.closed.push(reason),
            }
        }
    }

    /// Says so once.
    pub fn reason(&self) -> Option<Reason> {
        assert!(self.closed.len() < 2);
        assert_eq!(self.closed.first().copied(), self.channel.closed());
        self.channel.closed()
    }

    pub fn code(&self) -> &'static str {
        match (self.reason(), &self.peer) {
            (Some(reason), _) => reason.code(),
            (None, Some(_)) => "open",
            (None, None) => "waits",
        }
    }
}

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToResponder,
    ToInitiator,
}

/// What a host does with a frame: what it hands on in its place.
pub type Host<'h> = dyn FnMut(Way, usize, Vec<u8>) -> Vec<Vec<u8>> + 'h;

/// Two ends and a host between them, who sees every frame with its number in its direction.
pub struct Stream<'a> {
    pub initiator: End<'a>,
    pub responder: End<'a>,
    pub now: Millis,
    pub carried: [usize; 2],
    /// Everything that was handed to the host, for later.
    pub record: RefCell<Vec<(Way, Vec<u8>)>>,
}

impl<'a> Stream<'a> {
    pub fn new(initiator: End<'a>, responder: End<'a>) -> Self {
        Self {
            initiator,
            responder,
            now: START,
            carried: [0; 2],
            record: RefCell::default(),
        }
    }

    /// Between operators 1 and 2, all honest.
    pub fn between(one: &'a Enclave, two: &'a Enclave) -> Self {
        let to = two.id().signer;
        Self::new(End::dialling(one, to, 1), End::listening(two, 2))
    }

    /// Carries frames until nobody says anything more.
    pub fn run(&mut self, host: &mut Host<'_>) {
        loop {
            let forth = std::mem::take(&mut self.initiator.outbox);
            let back = std::mem::take(&mut self.responder.outbox);
            if forth.is_empty() && back.is_empty() {
                return;
            }
            for frame in forth {
                self.carry(Way::ToResponder, frame, host);
            }
            for frame in back {
                self.carry(Way::ToInitiator, frame, host);
            }
        }
    }

    fn carry(&mut self, way: Way, frame: Vec<u8>, host: &mut Host<'_>) {
        self.record.borrow_mut().push((way, frame.clone()));
        let count = &mut self.carried[way as usize];
        let number = *count;
        *count += 1;
        for bytes in host(way, number, frame) {
            let end = match way {
                Way::ToResponder => &mut self.responder,
                Way::ToInitiator => &mut self.initiator,
            };
            end.feed(self.now, Input::Received(&bytes));
        }
    }

    pub fn run_honestly(&mut self) {
        self.run(&mut |_, _, frame| vec![frame]);
    }

    /// Both say so many messages, carried at once.
    pub fn talk(&mut self, count: u8, host: &mut Host<'_>) {
        for number in 0..count {
            for end in [&mut self.initiator, &mut self.responder] {
                if end.channel.is_open() {
                    end.feed(self.now, Input::Send(&[number; 100]));
                }
            }
        }
        self.run(host);
    }

    /// Time passes for both, a second at a time, and nothing is carried but what `host` lets pass.
    pub fn wait(&mut self, seconds: u64, host: &mut Host<'_>) {
        for _ in 0..seconds {
            self.now = Millis(self.now.0 + 1_000);
            self.initiator.feed(self.now, Input::Tick);
            self.responder.feed(self.now, Input::Tick);
            self.run(host);
        }
    }

    /// How both ended.
    pub fn ends(&self) -> (&'static str, &'static str) {
        (self.initiator.code(), self.responder.code())
    }
}

/// Hands every frame on.
pub fn honest(_: Way, _: usize, frame: Vec<u8>) -> Vec<Vec<u8>> {
    vec![frame]
}
