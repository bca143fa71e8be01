//! An API that serves one bridge, and lies where it is told to.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bitcoin::{Address, OutPoint};
use grail_api::{
    CreatePegIn, CreatePegOut, Kind, ParamsAnswer, Problem, ProblemCode, Receipt, Request,
    RequestState, Reserves, RosterAnswer, Signer,
};
use grail_script::InternalKey;
use grail_types::RequestId;
use serde::Serialize;
use serde_json::{Value, json};

use super::{bridge, genuine_evidence, images, params, protocol, roster, vault};

/// What is answered to a receipt that is handed in.
type Taking = Box<dyn Fn(&Value) -> Result<Value, Problem> + Send>;
/// Changes an answer to this path before it is sent.
pub type Lie = Box<dyn Fn(&str, &mut Value) + Send>;

struct Served {
    answers: HashMap<String, Value>,
    lie: Lie,
    take_receipt: Option<Taking>,
    nonce: u8,
    made: HashSet<RequestId>,
    bodies: Vec<String>,
}

/// The server; ends when dropped.
pub struct Api {
    address: SocketAddr,
    served: Arc<Mutex<Served>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Api {
    /// Serves the tests' bridge, whose NFT is at `nft_outpoint`.
    pub fn start(nft_outpoint: OutPoint) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let served = Arc::new(Mutex::new(Served {
            answers: HashMap::from([
                ("/v1/params".to_owned(), json(&params_answer())),
                (
                    "/v1/roster".to_owned(),
                    json(&roster_answer(nft_outpoint, grail_cli::session::now())),
                ),
            ]),
            lie: Box::new(|_, _| ()),
            take_receipt: None,
            nonce: 0,
            made: HashSet::new(),
            bodies: Vec::new(),
        }));
        let is_over = Arc::new(AtomicBool::new(false));
        let thread = {
            let (served, is_over) = (Arc::clone(&served), Arc::clone(&is_over));
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    // A client that hangs up is no failure of the server's.
                    let _ = converse(&served, stream.unwrap());
                }
            })
        };
        Self {
            address,
            served,
            is_over,
            thread: Some(thread),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on answers are changed so.
    pub fn lie(&self, lie: impl Fn(&str, &mut Value) + Send + 'static) {
        self.served.lock().unwrap().lie = Box::new(lie);
    }

    /// From now on receipts are answered so; before, nobody takes any.
    pub fn answer_receipts(
        &self,
        take: impl Fn(&Value) -> Result<Value, Problem> + Send + 'static,
    ) {
        self.served.lock().unwrap().take_receipt = Some(Box::new(take));
    }

    pub fn be_honest(&self) {
        self.lie(|_, _| ());
    }

    /// From now on answers this to a path.
    pub fn serve(&self, path: &str, answer: &impl Serialize) {
        self.served
            .lock()
            .unwrap()
            .answers
            .insert(path.to_owned(), json(answer));
    }

    /// From now on the signers' evidence is of this instant.
    pub fn serve_roster_of(&self, nft_outpoint: OutPoint, born: u64) {
        self.serve("/v1/roster", &roster_answer(nft_outpoint, born));
    }

    pub fn serve_reserves(&self, reserves: &Reserves) {
        self.serve("/v1/reserves", reserves);
    }

    /// Bodies of the requests made so far.
    pub fn bodies(&self) -> Vec<String> {
        self.served.lock().unwrap().bodies.clone()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

fn params_answer() -> ParamsAnswer {
    ParamsAnswer {
        bridge: bridge(),
        params: params(),
        images: images(),
        governance: grail_fixtures::world::governance(),
        params_hash: protocol().hash(),
    }
}

fn roster_answer(nft_outpoint: OutPoint, born: u64) -> RosterAnswer {
    let roster = roster(0);
    RosterAnswer {
        former: Vec::new(),
        epoch: roster.epoch(),
        threshold: roster.threshold(),
        address: Address::from_script(&vault(&roster), bitcoin::Network::Regtest)
            .unwrap()
            .to_string(),
        nft_outpoint,
        signers: (0..)
            .zip(roster.signers())
            .map(|(index, signer)| Signer {
                index,
                public_key: *signer,
                name: format!("operator {index}"),
                evidence: BASE64.encode(genuine_evidence(signer, born)),
                nonce: None,
                pcr0: hex::encode(images().images()[0].measurement.pcr0),
                attested_at: born,
                fail_safe: None,
            })
            .collect(),
    }
}

fn converse(served: &Mutex<Served>, mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = head.split_whitespace();
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let (status, answer) = served.lock().unwrap().answer(method, path, &body);
    let answer = answer.to_string();
    write!(
        stream,
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
        answer.len()
    )
}

impl Served {
    fn answer(&mut self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let result = match (method, path) {
            ("POST", "/v1/peg-ins") => self.create(body, Kind::PegIn),
            ("POST", "/v1/peg-outs") => self.create(body, Kind::PegOut),
            ("POST", "/v1/receipts") if self.take_receipt.is_some() => {
                self.bodies.push(String::from_utf8_lossy(body).into_owned());
                let body = serde_json::from_slice(body).unwrap();
                let taken = self.take_receipt.as_ref().map(|take| take(&body));
                taken.unwrap().map(|answer| (201, answer))
            }
            _ => self
                .answers
                .get(path)
                .cloned()
                .map(|answer| (200, answer))
                .ok_or_else(|| Problem::new(ProblemCode::NotFound, path)),
        };
        match result {
            Ok((status, mut answer)) => {
                (self.lie)(path, &mut answer);
                (status, answer)
            }
            Err(problem) => (problem.status, json(&problem)),
        }
    }

    fn create(&mut self, body: &[u8], kind: Kind) -> Result<(u16, Value), Problem> {
        self.bodies.push(String::from_utf8_lossy(body).into_owned());
        let (params, roster) = (params(), roster(0));
        let governance = grail_fixtures::world::governance();
        let parsed = match kind {
            Kind::PegOut => {
                CreatePegOut::from_json(body)?.parse(&bridge(), &params, &roster, &governance)?
            }
            _ => CreatePegIn::from_json(body)?.parse(&bridge(), &params, &roster, &governance)?,
        };
        self.nonce += 1;
        let terms = parsed.into_terms([self.nonce; 16]);
        if !self.made.insert(terms.id()) {
            return Err(Problem::new(
                ProblemCode::IdempotencyConflict,
                "made before",
            ));
        }
        let receipt = Receipt::new(InternalKey::Nums, terms.clone(), roster);
        let request = Request {
            warnings: Vec::new(),
            id: terms.id(),
            kind,
            state: RequestState::AwaitingDeposit,
            code: None,
            deposit_address: receipt.deposit_address.clone(),
            bip21: None,
            terms,
            receipt,
            deadline_height: 1_000,
            deposit_min_sat: params.deposit_min.to_sat(),
            deposit_max_sat: params.deposit_max.to_sat(),
            carrier_sat: params.carrier.to_sat(),
            estimated_fee_share_sat: 3_000,
            estimated_surcharge_sat: 0,
            created_at: 1,
        };
        Ok((201, json(&request)))
    }
}

/// Replaces what is at a JSON pointer.
pub fn replace(answer: &mut Value, pointer: &str, value: impl Into<Value>) {
    *answer.pointer_mut(pointer).unwrap() = value.into();
}

pub fn not_json() -> Value {
    json!("nonsense")
}
