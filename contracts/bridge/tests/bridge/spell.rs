//! Builds spells for the tests and judges them.

use std::{collections::BTreeMap, sync::LazyLock};

use charms_app_runner::AppRunner;
use charms_data::{App, B32, Charms, Data, NativeOutput, Transaction, TxId, UtxoId};
use grail_bridge_contract::{
    Action, Next, ROSTER_TAG, RosterState, SPELL_VERSION_MIN, Violation, app_contract, check,
    identity_of, nft_app, token_app,
};

/// The committed wasm: what proofs run.
const WASM: &[u8] = include_bytes!("../../../bridge.wasm");

static RUNNER: LazyLock<AppRunner> = LazyLock::new(|| AppRunner::new(true));

/// Satoshis under a charm.
pub const DUST: u64 = 330;

pub fn runner_vk() -> B32 {
    RUNNER.vk(WASM)
}

/// A taproot script that differs per `seed`.
pub fn script(seed: u8) -> Vec<u8> {
    [&[0x51, 0x20][..], &[seed; 32]].concat()
}

pub const VAULT: u8 = 0xaa;
pub const NEXT_VAULT: u8 = 0xbb;
pub const USER: u8 = 0x11;

pub fn utxo(seed: u8) -> UtxoId {
    UtxoId(TxId([seed; 32]), u32::from(seed))
}

/// A roster of 16 signers, threshold 12, at epoch 3, after 8 settlements.
pub fn state(supply: u64) -> RosterState {
    RosterState {
        epoch: 3,
        serial: 8,
        signers: (1..=16).map(|seed| [seed; 32]).collect(),
        threshold: 12,
        vault_script: script(VAULT),
        supply,
        params_hash: [0x77; 32],
        governance: [0x66; 32],
        attempt: 0,
        next: None,
        outflow: 0,
        spell_min: SPELL_VERSION_MIN,
        spell_max: SPELL_VERSION_MIN,
    }
}

/// The state after `state(supply)` rotates to another vault.
pub fn rotated(supply: u64) -> RosterState {
    RosterState {
        epoch: 4,
        signers: (2..=17).map(|seed| [seed; 32]).collect(),
        vault_script: script(NEXT_VAULT),
        params_hash: [0x78; 32],
        governance: [0x67; 32],
        spell_max: SPELL_VERSION_MIN + 1,
        ..state(supply)
    }
}

/// `old` with the rotation to `new` announced some settlements ago.
pub fn announced(old: &RosterState, new: &RosterState) -> RosterState {
    RosterState {
        attempt: old.attempt + 1,
        next: Some(Next {
            hash: new.next_hash(),
            serial: old.serial.min(5),
            wait: 144,
        }),
        ..old.clone()
    }
}

/// The roster NFT of the bridge under test.
pub fn nft() -> App {
    App {
        tag: ROSTER_TAG,
        identity: identity_of(&utxo(0)),
        vk: runner_vk(),
    }
}

/// zkBTC of the bridge under test.
pub fn token() -> App {
    token_app(&nft())
}

/// A token that the bridge knows nothing of.
pub fn foreign_token() -> App {
    App {
        tag: 't',
        identity: B32([0xee; 32]),
        vk: B32([0xef; 32]),
    }
}

/// A spell being built: charms and coins side by side.
pub struct Spell {
    pub tx: Transaction,
    pub app: App,
    pub x: Data,
    pub w: Data,
}

impl Spell {
    /// An empty spell, judged as `app` with the public input that this app takes.
    pub fn new(app: App) -> Self {
        Self {
            tx: Transaction {
                ins: vec![],
                refs: vec![],
                outs: vec![],
                coin_ins: Some(vec![]),
                coin_outs: Some(vec![]),
                prev_txs: BTreeMap::new(),
                app_public_inputs: BTreeMap::new(),
            },
            app,
            x: Data::empty(),
            w: Data::empty(),
        }
    }

    /// A settlement from `old` to `new`, which gets the next serial.
    pub fn settlement(old: &RosterState, new: &RosterState) -> Self {
        let next = RosterState {
            serial: old.serial + 1,
            ..new.clone()
        };
        Self::succession(old, &next)
    }

    /// A settlement with both NFTs, judged by the NFT's rules: input 0 and output 0 are the NFT.
    pub fn succession(old: &RosterState, new: &RosterState) -> Self {
        Self::step(Action::Settle, old, new)
    }

    /// The execution of a rotation from `old`, where it is announced, to `new`, which gets the next
    /// serial and what stays in a rotation.
    pub fn execution(old: &RosterState, new: &RosterState) -> Self {
        let old = announced(old, new);
        let next = RosterState {
            serial: old.serial + 1,
            attempt: old.attempt,
            outflow: old.outflow,
            ..new.clone()
        };
        Self::step(Action::Execute, &old, &next)
    }

    /// The same of any action.
    pub fn step(action: Action, old: &RosterState, new: &RosterState) -> Self {
        Self::new(nft())
            .action(action)
            .input_at(old.vault_script.clone(), DUST, [(nft(), old.to_data())])
            .output_at(new.vault_script.clone(), DUST, [(nft(), new.to_data())])
    }

    pub fn action(mut self, action: Action) -> Self {
        self.tx
            .app_public_inputs
            .insert(nft_app(&self.app), action.to_data());
        if self.app.tag == ROSTER_TAG {
            self.x = action.to_data();
        }
        self
    }

    pub fn public_input(mut self, x: Data) -> Self {
        self.tx
            .app_public_inputs
            .insert(self.app.clone(), x.clone());
        self.x = x;
        self
    }

    pub fn input(self, to: u8, amount: u64) -> Self {
        self.input_at(script(to), amount, [])
    }

    pub fn output(self, to: u8, amount: u64) -> Self {
        self.output_at(script(to), amount, [])
    }

    /// A user's zkBTC as input.
    pub fn tokens_in(self, amount: u64) -> Self {
        self.input_at(script(USER), DUST, [(token(), Data::from(&amount))])
    }

    /// A user's zkBTC as output.
    pub fn tokens_out(self, amount: u64) -> Self {
        self.output_at(script(USER), DUST, [(token(), Data::from(&amount))])
    }

    pub fn input_at<const N: usize>(
        mut self,
        script: Vec<u8>,
        amount: u64,
        charms: [(App, Data); N],
    ) -> Self {
        let seed = u8::try_from(self.tx.ins.len()).unwrap();
        let spent = utxo(seed);
        self.tx.prev_txs.insert(spent.0, shown(&PREVIOUS));
        self.tx.ins.push((spent, Charms::from(charms)));
        self.tx
            .coin_ins
            .as_mut()
            .unwrap()
            .push(coin(script, amount));
        self
    }

    pub fn output_at<const N: usize>(
        mut self,
        script: Vec<u8>,
        amount: u64,
        charms: [(App, Data); N],
    ) -> Self {
        self.tx.outs.push(Charms::from(charms));
        self.tx
            .coin_outs
            .as_mut()
            .unwrap()
            .push(coin(script, amount));
        self
    }

    pub fn with(mut self, change: impl FnOnce(&mut Transaction)) -> Self {
        change(&mut self.tx);
        self
    }

    /// The same transaction, judged as another app.
    pub fn judged_as(mut self, app: App) -> Self {
        self.x = self
            .tx
            .app_public_inputs
            .get(&app)
            .cloned()
            .unwrap_or_default();
        self.app = app;
        self
    }

    /// The verdict, which native code and wasm must share.
    pub fn judge(&self) -> Result<(), Violation> {
        let native = check(&self.app, &self.tx, &self.x, &self.w);
        assert_eq!(
            app_contract(&self.app, &self.tx, &self.x, &self.w),
            native.is_ok()
        );
        // Mutation testing asks what the tests themselves notice: there the wasm, which no mutant
        // changes, says nothing.
        if std::env::var_os("GRAIL_NATIVE_ALONE").is_some() {
            return native;
        }
        let wasm = self.run_wasm();
        assert_eq!(
            native.is_ok(),
            wasm.is_ok(),
            "native code says {native:?}, contracts/bridge.wasm says {wasm:?}: rebuild it with `cargo xtask contracts`"
        );
        native
    }

    /// Fuel that the wasm takes to accept.
    pub fn fuel(&self) -> u64 {
        self.run_wasm().unwrap()
    }

    fn run_wasm(&self) -> Result<u64, String> {
        let none = BTreeMap::new();
        // The runner insists on an app whose `vk` is the wasm's hash; a spell about another app
        // keeps its tag.
        let app = App {
            vk: runner_vk(),
            ..self.app.clone()
        };
        RUNNER
            .run(
                WASM,
                &app,
                &self.tx,
                &self.x,
                &self.w,
                &none,
                &BTreeMap::new(),
            )
            .map_err(|error| error.to_string())
    }

    pub fn accepted(&self) {
        assert_eq!(self.judge(), Ok(()));
    }

    pub fn refused(&self, violation: &Violation) {
        assert_eq!(self.judge().as_ref(), Err(violation));
    }
}

/// A previous transaction with a spell of version 15, as its prover wrote it.
static PREVIOUS: LazyLock<String> = LazyLock::new(|| previous(&[script(USER), spell_output(15)]));

/// The hexadecimal form of a transaction of one input that pays `scripts`, without witness.
pub fn previous(scripts: &[Vec<u8>]) -> String {
    let mut bytes = vec![2, 0, 0, 0, 1];
    bytes.extend([0x31; 36]);
    bytes.extend([0, 0xff, 0xff, 0xff, 0xff]);
    bytes.push(u8::try_from(scripts.len()).unwrap());
    for script in scripts {
        bytes.extend(DUST.to_le_bytes());
        if script.len() < 0xfd {
            bytes.push(u8::try_from(script.len()).unwrap());
        } else {
            bytes.push(0xfe);
            bytes.extend(u32::try_from(script.len()).unwrap().to_le_bytes());
        }
        bytes.extend(script);
    }
    bytes.extend([0; 4]);
    hex::encode(bytes)
}

/// How Charms shows a previous transaction to a contract.
pub fn shown(hex: &str) -> Data {
    Data::from(&BTreeMap::from([("bitcoin", hex)]))
}

/// The output of a spell, empty but for its version.
pub fn spell_output(version: u32) -> Vec<u8> {
    let payload = Data::from(&(BTreeMap::from([("version", version)]), [0_u8; 4])).bytes();
    op_return(&payload)
}

/// An output that Charms reads as a spell with this payload.
pub fn op_return(payload: &[u8]) -> Vec<u8> {
    let mut script = b"\x6a\x05spell".to_vec();
    match u8::try_from(payload.len()).unwrap() {
        length @ 0..=0x4b => script.push(length),
        length => script.extend([0x4c, length]),
    }
    script.extend(payload);
    script
}

pub fn coin(script: Vec<u8>, amount: u64) -> NativeOutput {
    NativeOutput {
        amount,
        dest: script,
        content: None,
    }
}

/// One peg-in of `amount` on top of a vault and supply of 5,000.
pub fn peg_in(amount: u64) -> Spell {
    Spell::settlement(&state(5_000), &state(5_000 + amount))
        .input(VAULT, 5_000)
        .input(USER, amount + DUST)
        .output(VAULT, 5_000 + amount)
        .tokens_out(amount)
}
