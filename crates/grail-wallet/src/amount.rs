//! Amounts and addresses as people type them.

use bitcoin::address::NetworkUnchecked;
use bitcoin::{Address, Amount, Denomination, ScriptBuf};
use grail_types::{Destination, Network};
use grail_witness::{Unspendable, output_key};

/// Why a text is no amount or address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Neither satoshis nor BTC.
    #[error("expected an amount such as 50000, 50000sat or 0.0005btc, got {0:?}")]
    Amount(String),
    /// Nothing to send.
    #[error("the amount is zero")]
    Zero,
    /// Not an address of this network.
    #[error("expected an address of {network}, got {text:?}: {reason}")]
    Address {
        /// The wallet's network.
        network: Network,
        /// The text.
        text: String,
        /// What does not fit.
        reason: String,
    },
    /// An address that nobody can ever spend from.
    #[error("nobody can ever spend what is sent to {0}: {1}")]
    Unspendable(String, Unspendable),
}

impl AmountError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Amount(_) => "bad-amount",
            Self::Zero => "amount-zero",
            Self::Address { .. } => "bad-address",
            Self::Unspendable(..) => "unspendable-address",
        }
    }
}

/// Reads `50000` or `50000sat` as satoshis and `0.0005btc` as bitcoin. A decimal point without a
/// unit is refused: it could mean either.
pub fn parse_amount(text: &str) -> Result<Amount, AmountError> {
    let wrong = || AmountError::Amount(text.to_owned());
    let lower = text.trim().to_lowercase();
    let amount = if let Some(number) = lower.strip_suffix("btc") {
        Amount::from_str_in(number.trim(), Denomination::Bitcoin).map_err(|_| wrong())?
    } else {
        let number = lower.strip_suffix("sat").unwrap_or(&lower).trim();
        Amount::from_sat(number.parse().map_err(|_| wrong())?)
    };
    if amount == Amount::ZERO {
        return Err(AmountError::Zero);
    }
    if amount > Amount::MAX_MONEY {
        return Err(wrong());
    }
    Ok(amount)
}

/// Reads an address of `network` that Grail can pay to, and that somebody may have the key of.
pub fn parse_address(text: &str, network: Network) -> Result<ScriptBuf, AmountError> {
    let wrong = |reason: String| AmountError::Address {
        network,
        text: text.to_owned(),
        reason,
    };
    let address: Address<NetworkUnchecked> =
        text.parse().map_err(|error| wrong(format!("{error}")))?;
    let script = address
        .require_network(network.into())
        .map_err(|error| wrong(error.to_string()))?
        .script_pubkey();
    let script = Destination::try_from(script)
        .map(ScriptBuf::from)
        .map_err(|error| wrong(error.to_string()))?;
    match output_key(&script) {
        Err(why) => Err(AmountError::Unspendable(text.to_owned(), why)),
        Ok(_) => Ok(script),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bitcoin::Script;
    use grail_script::nums_key;

    use super::*;

    #[test]
    fn reads_satoshis_and_bitcoin() {
        for text in [
            "50000",
            "50000sat",
            " 50000 SAT ",
            "0.0005btc",
            "0.0005 BTC",
        ] {
            assert_eq!(parse_amount(text), Ok(Amount::from_sat(50_000)), "{text}");
        }
        assert_eq!(parse_amount("21000000btc"), Ok(Amount::MAX_MONEY));
    }

    #[test]
    fn refuses_what_could_mean_something_else() {
        for text in [
            "",
            "0.0005",
            "1.0",
            "-1",
            "1e5",
            "0x10",
            "btc",
            "0.000000001btc",
            "21000001btc",
            "18446744073709551616",
            "2100000000000001",
            "5 0000",
            "50000msat",
        ] {
            assert!(
                matches!(parse_amount(text), Err(AmountError::Amount(_))),
                "{text}"
            );
        }
        assert_eq!(parse_amount("0"), Err(AmountError::Zero));
        assert_eq!(parse_amount("0btc"), Err(AmountError::Zero));
    }

    #[test]
    fn an_address_must_be_of_the_wallets_network() {
        let regtest = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
        assert!(
            parse_address(regtest, Network::Regtest)
                .unwrap()
                .is_p2wpkh()
        );
        for (text, network) in [
            (regtest, Network::Signet),
            (
                "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
                Network::Regtest,
            ),
            ("nonsense", Network::Regtest),
        ] {
            assert!(matches!(
                parse_address(text, network),
                Err(AmountError::Address { .. })
            ));
        }
    }

    #[test]
    fn an_address_that_nobody_can_spend_from_is_refused() {
        let address = |key: &[u8; 32]| {
            let mut script = vec![0x51, 0x20];
            script.extend(key);
            Address::from_script(Script::from_bytes(&script), bitcoin::Network::Regtest)
                .unwrap()
                .to_string()
        };
        for key in [[0xff; 32], nums_key().serialize()] {
            assert!(matches!(
                parse_address(&address(&key), Network::Regtest),
                Err(AmountError::Unspendable(..))
            ));
        }
        let mut spendable = [0; 32];
        spendable[31] = 1;
        assert!(parse_address(&address(&spendable), Network::Regtest).is_ok());
    }
}
