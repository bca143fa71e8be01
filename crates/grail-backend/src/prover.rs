//! Which prover a network has: options of the programs that prove.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail, ensure};
use bitcoin::{Address, Amount, address::NetworkUnchecked};
use grail_program::options::Table;
use grail_prover::{CharmsConfig, CharmsProver, MockProver, Prover, ProverFee, Provers};
use grail_types::{Destination, MockAllowed, Network, Params};

/// A kind of prover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ProverKind {
    /// Proofs that prove nothing, made here: regtest alone, in development builds.
    Mock,
    /// A Charms prover server; on regtest it has to be one in mock mode.
    Charms,
}

/// A prover.
#[derive(Clone, Debug, clap::Args)]
pub struct OneProver {
    /// Who proves spells. By default `mock` on regtest in a development build; else it takes
    /// `charms`. Several provers are told in the configuration file.
    #[arg(long, visible_alias = "prover")]
    prover_kind: Option<ProverKind>,
    /// The Charms prover server: `http(s)://HOST[:PORT][/PATH]`.
    #[arg(long, required_if_eq("prover_kind", "charms"))]
    prover_url: Option<String>,
    /// Seconds to wait for a connection to it.
    #[arg(long, default_value_t = 10, requires = "prover_url", value_parser = clap::value_parser!(u64).range(1..=600))]
    prover_connect_timeout: u64,
    /// Seconds that one attempt may take, to the last byte of the answer.
    #[arg(long, default_value_t = 1_200, requires = "prover_url", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    prover_timeout: u64,
    /// Attempts before the job is given back for later.
    #[arg(long, default_value_t = 3, requires = "prover_url", value_parser = clap::value_parser!(u32).range(1..=20))]
    prover_attempts: u32,
    /// Address that the server wants to be paid at. Without it a server that charges is refused.
    #[arg(long, requires_all = ["prover_url", "prover_fee_max"])]
    prover_fee_address: Option<Address<NetworkUnchecked>>,
    /// Satoshis that it charges for every proof.
    #[arg(long, default_value_t = 0, requires = "prover_fee_address")]
    prover_fee_base: u64,
    /// Satoshis that it charges for a million cycles.
    #[arg(long, default_value_t = 0, requires = "prover_fee_address")]
    prover_fee_rate: u64,
    /// Most satoshis that its fee output may hold; at most the parameters' `prover_fee_max`.
    /// Requests pay for it in full.
    #[arg(long, requires = "prover_fee_address")]
    prover_fee_max: Option<u64>,
}

/// The prover, or the provers that the configuration file lists.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Prover")]
pub struct ProverArgs {
    #[command(flatten)]
    one: OneProver,
    /// A table `[[prover]]` of the file.
    #[arg(long, hide = true)]
    prover_table: Vec<Table<OneProver>>,
}

impl ProverArgs {
    /// The provers of a bridge on `network` under `params`: the one that options name, or else
    /// those of the file, in its order.
    pub fn prover(&self, network: Network, params: &Params) -> anyhow::Result<Arc<dyn Prover>> {
        let is_told = self.one.prover_kind.is_some() || self.one.prover_url.is_some();
        if is_told || self.prover_table.is_empty() {
            return self.one.prover(network, params);
        }
        let all = self.prover_table.iter().map(|it| {
            let name = it.0.prover_url.clone().unwrap_or_else(|| "mock".to_owned());
            Ok((name, it.0.prover(network, params)?))
        });
        let all = all.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Arc::new(Provers::new(all)?))
    }
}

impl OneProver {
    /// Mock proofs take a permission that regtest alone gives (I11), and nothing falls back to
    /// them.
    fn prover(&self, network: Network, params: &Params) -> anyhow::Result<Arc<dyn Prover>> {
        match (self.prover_kind, MockAllowed::on(network)) {
            (None | Some(ProverKind::Mock), Some(allowed)) => {
                ensure!(
                    self.prover_url.is_none() && self.prover_fee_address.is_none(),
                    "the mock prover has no url and takes no fee: --prover charms?"
                );
                Ok(Arc::new(MockProver::new(allowed)))
            }
            (Some(ProverKind::Charms), _) => Ok(Arc::new(self.charms(network, params)?)),
            (_, None) => bail!(
                "{network} needs a real prover (--prover charms --prover-url URL): mock proofs work on regtest alone, \
                 and in development builds"
            ),
        }
    }

    fn charms(&self, network: Network, params: &Params) -> anyhow::Result<CharmsProver> {
        let url = self
            .prover_url
            .clone()
            .context("--prover charms needs --prover-url")?;
        let config = CharmsConfig {
            connect_timeout: Duration::from_secs(self.prover_connect_timeout),
            total_timeout: Duration::from_secs(self.prover_timeout),
            attempts_max: self.prover_attempts,
            fee: self.fee(network, params)?,
            ..CharmsConfig::new(url, network)
        };
        Ok(CharmsProver::new(config, Box::new(jittered))?)
    }

    fn fee(&self, network: Network, params: &Params) -> anyhow::Result<Option<ProverFee>> {
        let (Some(address), Some(most)) = (&self.prover_fee_address, self.prover_fee_max) else {
            return Ok(None);
        };
        let output_max = Amount::from_sat(most);
        ensure!(
            output_max <= params.prover_fee_max,
            "--prover-fee-max is {output_max}, the parameters allow {} at most",
            params.prover_fee_max
        );
        let script = address
            .clone()
            .require_network(network.into())
            .context("--prover-fee-address")?
            .script_pubkey();
        ensure!(
            output_max >= script.minimal_non_dust(),
            "--prover-fee-max is below dust"
        );
        Ok(Some(ProverFee {
            destination: Destination::try_from(script).context("--prover-fee-address")?,
            base: Amount::from_sat(self.prover_fee_base),
            sat_per_megacycle: self.prover_fee_rate,
            output_max,
        }))
    }
}

/// Half of the longest pause and a random part of the rest, so that backends that failed together
/// do not ask together.
fn jittered(longest: Duration) -> Duration {
    let half = longest / 2;
    let mut random = [0; 4];
    // Without randomness the longest pause is the safest.
    match getrandom::fill(&mut random) {
        Ok(()) => half + half.mul_f64(f64::from(u32::from_be_bytes(random)) / f64::from(u32::MAX)),
        Err(_) => longest,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser as _;
    use grail_types::ImagesHash;

    use super::*;

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        prover: ProverArgs,
    }

    const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

    fn params(network: Network) -> Params {
        Params::preset(network, ImagesHash([1; 32]))
            .with(|values| values.prover_fee_max = Amount::from_sat(5_000))
            .unwrap()
    }

    /// What the options come to; an error's words.
    fn prover(network: Network, options: &[&str]) -> Result<Arc<dyn Prover>, String> {
        let words = ["program"].iter().chain(options);
        let program = Program::try_parse_from(words).map_err(|error| error.to_string())?;
        program
            .prover
            .prover(network, &params(network))
            .map_err(|error| format!("{error:#}"))
    }

    const CHARMS: [&str; 4] = ["--prover", "charms", "--prover-url", "http://127.0.0.1:1"];
    const OTHERS: [Network; 3] = [Network::Signet, Network::Testnet4, Network::Mainnet];

    #[test]
    fn regtest_has_the_mock_prover_by_default() {
        for options in [[].as_slice(), &["--prover", "mock"]] {
            let prover = prover(Network::Regtest, options).unwrap();
            assert_eq!(
                (prover.kind(), prover.proof_bytes(), prover.fee_output_max()),
                ("mock", 192, None)
            );
        }
    }

    #[test]
    fn every_other_network_needs_the_charms_prover() {
        for network in OTHERS {
            for options in [[].as_slice(), &["--prover", "mock"]] {
                let refused = prover(network, options).err().unwrap();
                assert!(
                    refused.contains("mock proofs work on regtest alone"),
                    "{network}: {refused}"
                );
            }
            let prover = prover(network, &CHARMS).unwrap();
            assert_eq!((prover.kind(), prover.proof_bytes()), ("charms", 356));
        }
        let prover = prover(Network::Regtest, &CHARMS).unwrap();
        assert_eq!((prover.kind(), prover.proof_bytes()), ("charms", 192));
    }

    #[test]
    fn the_fee_is_within_the_parameters_and_at_an_address_of_the_network() {
        let fee = |address: &'static str, most: &'static str| {
            let options = ["--prover-fee-address", address, "--prover-fee-max", most];
            [CHARMS.as_slice(), &options].concat()
        };
        let output = prover(Network::Regtest, &fee(ADDRESS, "5000"))
            .unwrap()
            .fee_output_max()
            .unwrap();
        assert_eq!(output.value, Amount::from_sat(5_000));
        assert!(output.script_pubkey.is_p2wpkh());
        for (options, words) in [
            (fee(ADDRESS, "5001"), "the parameters allow"),
            (fee(ADDRESS, "293"), "below dust"),
            (
                fee("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "5000"),
                "--prover-fee-address",
            ),
            (
                [CHARMS.as_slice(), &["--prover-fee-address", ADDRESS]].concat(),
                "--prover-fee-max",
            ),
            (
                [CHARMS.as_slice(), &["--prover-fee-base", "1"]].concat(),
                "--prover-fee-address",
            ),
        ] {
            let refused = prover(Network::Regtest, &options).err().unwrap();
            assert!(refused.contains(words), "{refused}");
        }
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        for options in [
            ["--prover", "charms"].as_slice(),
            &["--prover-url", "http://127.0.0.1:1"],
            &["--prover", "mock", "--prover-url", "http://127.0.0.1:1"],
            &["--prover", "charms", "--prover-url", "nonsense"],
            &["--prover", "other"],
        ] {
            assert!(prover(Network::Regtest, options).is_err(), "{options:?}");
        }
    }

    #[test]
    fn pauses_are_between_half_and_the_longest() {
        let longest = Duration::from_secs(8);
        for _ in 0..100 {
            let pause = jittered(longest);
            assert!(pause >= longest / 2 && pause <= longest, "{pause:?}");
        }
    }
}
