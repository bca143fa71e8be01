//! Addresses that requests pay to, read at the edge.

use bitcoin::{Address, ScriptBuf, address::NetworkUnchecked};
use grail_types::{Destination, Network, Params};
use grail_witness::{Unspendable, output_key};

use crate::{Problem, ProblemCode};

/// Longest address text looked at: bech32's own limit.
const ADDRESS_LENGTH_MAX: usize = 90;

/// Reads an address that the network has, that a request may pay to, and that somebody can spend
/// from.
pub(crate) fn parse_address(text: &str, network: Network) -> Result<Destination, Problem> {
    if text.len() > ADDRESS_LENGTH_MAX {
        return Err(Problem::new(
            ProblemCode::BadAddress,
            format!(
                "expected at most {ADDRESS_LENGTH_MAX} characters, got {}",
                text.len()
            ),
        ));
    }
    let unchecked: Address<NetworkUnchecked> = text
        .parse()
        .map_err(|error| Problem::new(ProblemCode::BadAddress, format!("{error}")))?;
    let address = unchecked.require_network(network.into()).map_err(|_| {
        Problem::new(
            ProblemCode::WrongNetworkAddress,
            format!("expected an address of {network}"),
        )
    })?;
    let destination = Destination::try_from(ScriptBuf::from(address))
        .map_err(|error| Problem::new(ProblemCode::UnsupportedAddress, error.to_string()))?;
    match output_key(destination.script()) {
        Ok(_) => Ok(destination),
        Err(why) => Err(unspendable(why)),
    }
}

/// The same of a destination that was agreed to before. What pays to the key that nobody has was
/// served then, and keeps its promise.
pub(crate) fn check_still_spendable(destination: &Destination) -> Result<(), Problem> {
    match output_key(destination.script()) {
        Ok(_) | Err(Unspendable::NobodysKey) => Ok(()),
        Err(why @ Unspendable::OffCurve) => Err(unspendable(why)),
    }
}

fn unspendable(why: Unspendable) -> Problem {
    Problem::new(
        ProblemCode::UnspendableAddress,
        format!("expected an address that somebody can spend from: {why}"),
    )
}

/// The coin under zkBTC is the carrier, always: at an address with a higher dust limit it would
/// never be relayed.
pub(crate) fn check_carries_zkbtc(recipient: &Destination, params: &Params) -> Result<(), Problem> {
    let dust = recipient.script().minimal_non_dust();
    if dust > params.carrier {
        return Err(Problem::new(
            ProblemCode::UnsupportedAddress,
            format!(
                "zkBTC comes with a coin of {} sat, an output to this type of address needs {} sat: use a segwit address",
                params.carrier.to_sat(),
                dust.to_sat()
            ),
        ));
    }
    Ok(())
}
