//! The same work without processes, messages and rows: what no arrangement of them can undercut.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use bitcoin::key::Keypair;
use bitcoin::secp256k1::{Message, Secp256k1};
use grail_attest::Protocol;
use grail_policy::judge;
use grail_script::Sighashes;
use grail_types::TaggedHasher;
use grail_wire::decode_proposal;

/// The fastest of so many: whatever else the machine does only ever adds.
const TRIES: usize = 5;
const OPERATORS: u32 = 16;
const QUORUM: u32 = 12;

/// Measures and prints the parts of deciding on `proposal`, and their sum over `cores`.
pub fn print(proposal: &[u8], protocol: &Protocol, cores: usize) -> Result<()> {
    let secp = Secp256k1::new();
    let decide = || -> Result<Vec<Message>> {
        let proposal = decode_proposal(proposal)?;
        let judged =
            judge(&secp, &proposal, protocol.bridge()).map_err(|refusal| anyhow!("{refusal}"))?;
        let signing = judged.get().signing();
        let mut sighashes = Sighashes::new(&signing.transaction, &signing.prevouts);
        let inputs = signing.inputs.iter().enumerate();
        Ok(inputs
            .map(|(index, input)| sighashes.of(index, &input.spend))
            .collect::<Result<_, _>>()?)
    };
    let messages = decide()?;
    let secret = TaggedHasher::new("grail/test-key/v1").finish();
    let key = Keypair::from_seckey_slice(&secp, &secret)?;
    let (public, _) = key.x_only_public_key();
    let signatures: Vec<_> = messages
        .iter()
        .map(|message| secp.sign_schnorr_with_aux_rand(message, &key, &[7; 32]))
        .collect();

    let deciding = fastest(|| {
        black_box(decide().is_ok());
    });
    let signing = fastest(|| {
        for message in &messages {
            black_box(secp.sign_schnorr_with_aux_rand(message, &key, &[7; 32]));
        }
    });
    let verifying = fastest(|| {
        for (message, signature) in messages.iter().zip(&signatures) {
            black_box(secp.verify_schnorr(signature, message, &public).is_ok());
        }
    });
    // Sixteen operators and the backend, once before and once beside them, decide; backend and node
    // both verify.
    let all = deciding * (OPERATORS + 2) + signing * OPERATORS + verifying * (2 * QUORUM);
    let limit = all / u32::try_from(cores)?;
    println!("| Work | Time |");
    println!("|---|---|");
    println!("| decode, judge, sighashes | {} |", ms(deciding));
    println!("| {} signatures | {} |", messages.len(), ms(signing));
    println!(
        "| verify {} signatures | {} |",
        messages.len(),
        ms(verifying)
    );
    println!(
        "| 18 decisions, 16 signers, 12 verified twice, over {cores} cores | {} |",
        ms(limit)
    );
    Ok(())
}

fn fastest(mut work: impl FnMut()) -> Duration {
    let time = |work: &mut dyn FnMut()| {
        let began = Instant::now();
        work();
        began.elapsed()
    };
    let mut best = time(&mut work);
    for _ in 1..TRIES {
        best = best.min(time(&mut work));
    }
    best
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}
