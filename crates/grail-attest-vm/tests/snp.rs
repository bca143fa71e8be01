//! Every single lie of SEV-SNP evidence, each refused by its own name.
#![allow(clippy::unwrap_used)]
// A lie is one assignment, and reads best as one.
#![allow(clippy::assigning_clones, clippy::semicolon_if_nothing_returned)]

mod common;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::LazyLock;

use common::issue::{Extension, p256_key_info, pss_sha384};
use common::snp::{HARDWARE_ID, LEVEL, Plan, SIGNED, verify_snp};
use common::{AT, DAY_MS, NONCE, USER_DATA, codes_of};
use grail_attest::{
    Binding, Claims as _, EvidenceError, Expected, Image, ImageClass, Images, PinnedImages,
    TeeKind, expect_pinned,
};
use grail_attest_vm::{Product, SnpAnchor, Trust, VerifiedVm};
use grail_types::{Measurement, Network, Params};
use p384::ecdsa::SigningKey;
use proptest::prelude::*;

const PRODUCTS: [Product; 3] = [Product::Milan, Product::Genoa, Product::Turin];

fn expected(references: &[Measurement]) -> Expected<'_> {
    Expected {
        references,
        user_data: Some(USER_DATA),
        nonce: Some(NONCE),
    }
}

fn verified() -> VerifiedVm {
    Plan::new(Product::Milan).verify().unwrap()
}

#[test]
fn true_evidence_of_each_product_is_attested() {
    for product in PRODUCTS {
        let verified = Plan::new(product).verify().unwrap();
        assert_eq!(verified.tee(), TeeKind::Development, "{product:?}");
        assert_eq!(verified.class(), ImageClass::Resident);
        let references = [*verified.measurement()];
        let attested = verified.expect(&expected(&references)).unwrap();
        assert_eq!(attested.evidence().measurement().pcr0, [0x11; 48]);
    }
}

#[test]
fn every_known_version_is_read() {
    for version in 2..=5 {
        let mut plan = Plan::new(Product::Genoa);
        plan.put(0, &[version]);
        plan.verify().unwrap();
    }
    // Version 2 does not name its processor.
    let mut plan = Plan::new(Product::Milan);
    plan.put(0, &[2]);
    plan.put(0x188, &[0, 0]);
    plan.verify().unwrap();
}

#[test]
fn refuses_another_image_binding_or_nonce_each_by_name() {
    let references = [*verified().measurement()];
    let code = |expected: Expected<'_>| verified().expect(&expected).unwrap_err().code();
    let right = expected(&references);
    for (register, change) in [
        |image: &mut Measurement| image.pcr0[0] ^= 1,
        |image: &mut Measurement| image.pcr1[0] ^= 1,
        |image: &mut Measurement| image.pcr2[0] ^= 1,
    ]
    .into_iter()
    .enumerate()
    {
        let mut other = references;
        change(&mut other[0]);
        assert_eq!(
            code(expected(&other)),
            "measurement-not-listed",
            "{register}"
        );
    }
    assert_eq!(code(expected(&[])), "measurement-not-listed");
    for user_data in [Some(&b"other"[..]), Some(&[]), None] {
        let wrong = Expected { user_data, ..right };
        assert_eq!(code(wrong), "user-data-mismatch");
    }
    for nonce in [Some(&b"other"[..]), Some(&[]), None] {
        let wrong = Expected { nonce, ..right };
        assert_eq!(code(wrong), "nonce-mismatch");
    }
    let error = verified().expect(&Expected {
        nonce: None,
        ..right
    });
    assert!(matches!(error, Err(EvidenceError::Nonce { .. })));
}

#[test]
fn an_image_counts_for_the_kind_that_it_is_listed_for_alone() {
    let listed = |tee| {
        let image = Image {
            tee,
            class: ImageClass::Resident,
            measurement: *verified().measurement(),
        };
        let images = Images::new(1, vec![image]).unwrap();
        let params = Params::preset(Network::Regtest, images.hash());
        PinnedImages::new(images, &params).unwrap()
    };
    let binding = Binding {
        user_data: Some(USER_DATA),
        nonce: Some(NONCE),
    };
    // A root of one's own vouches for development hardware.
    let pinned = listed(TeeKind::Development);
    let attested = expect_pinned(verified(), &pinned, &binding).unwrap();
    let _holder = pinned.share_holder(&attested).unwrap();
    for other in [TeeKind::Nitro, TeeKind::SevSnp, TeeKind::Tdx] {
        let refused = expect_pinned(verified(), &listed(other), &binding).unwrap_err();
        assert_eq!(refused.code(), "measurement-not-listed", "{other:?}");
    }
}

type Lie = (&'static str, fn(&mut Plan));

/// One thing wrong each, signed again where a signature covers it.
const LIES: &[Lie] = &[
    ("snp-report-length", |plan| {
        plan.after = |report| _ = report.pop()
    }),
    ("snp-report-length", |plan| {
        plan.after = |report| report.push(0)
    }),
    ("snp-report-length", |plan| plan.after = Vec::clear),
    ("snp-version", |plan| plan.put(0, &[1])),
    ("snp-version", |plan| plan.put(0, &[6])),
    ("snp-version", |plan| plan.put(3, &[1])),
    ("snp-signature-algorithm", |plan| plan.put(0x34, &[0])),
    ("snp-signature-algorithm", |plan| plan.put(0x34, &[2])),
    // A provider's key, and none.
    ("snp-signing-key", |plan| plan.put(0x48, &[1 << 2])),
    ("snp-signing-key", |plan| plan.put(0x48, &[7 << 2])),
    ("debug-mode", |plan| plan.put(0x0a, &[0b1011])),
    ("snp-migration-allowed", |plan| plan.put(0x0a, &[0b0111])),
    ("snp-migration-agent", |plan| plan.put(0x160, &[0xfe])),
    ("snp-migration-agent", |plan| plan.put(0x160, &[0; 32])),
    // The bit that must be set, and the first that has no meaning.
    ("snp-policy-bits", |plan| plan.put(0x0a, &[0b0001])),
    ("snp-policy-bits", |plan| plan.put(0x0b, &[0b100])),
    ("snp-policy-bits", |plan| plan.put(0x0f, &[0x80])),
    ("snp-vmpl", |plan| plan.put(0x30, &[1])),
    ("snp-vmpl", |plan| plan.put(0x33, &[1])),
    ("measurement-zero", |plan| plan.put(0x90, &[0; 48])),
    ("snp-chip-masked", |plan| plan.put(0x1a0, &[0; 64])),
    ("snp-processor", |plan| plan.put(0x188, &[0x1a])),
    ("snp-processor", |plan| plan.put(0x189, &[0x10])),
    ("snp-chip", |plan| plan.put(0x1a0, &[8])),
    ("snp-chip", |plan| plan.put(0x1df, &[8])),
    ("snp-chip", |plan| {
        extension(plan, HARDWARE_ID).value = vec![8; 64]
    }),
    ("snp-vcek-extension", |plan| {
        extension(plan, HARDWARE_ID).value = vec![9; 63]
    }),
    ("snp-vcek-extension", |plan| {
        extension(plan, HARDWARE_ID).value.clear()
    }),
    ("snp-vcek-extension", |plan| {
        extension(plan, HARDWARE_ID).oid = "1.2.3".to_owned()
    }),
    ("snp-vcek-extension", |plan| {
        extension(plan, SNP_LEVEL).oid = "1.2.3".to_owned()
    }),
    ("snp-vcek-extension", |plan| {
        extension(plan, SNP_LEVEL).value = vec![2, 2, 1, 0]
    }),
    // Newer firmware than the key is of, and older.
    ("snp-tcb", |plan| plan.put(0x186, &[9])),
    ("snp-tcb", |plan| plan.put(0x186, &[7])),
    ("snp-tcb", |plan| plan.put(0x182, &[1])),
    ("snp-tcb", |plan| {
        extension(plan, SNP_LEVEL).value = vec![2, 1, 9]
    }),
    // Each of the levels below the floor, the certified one too.
    ("snp-tcb-floor", |plan| plan.put(0x38, &[2])),
    ("snp-tcb-floor", |plan| plan.put(0x1e0, &[2])),
    ("snp-tcb-floor", |plan| plan.put(0x1f7, &[114])),
    ("snp-tcb-floor", |plan| plan.floor.bootloader += 1),
    ("snp-tcb-floor", |plan| plan.floor.tee += 1),
    ("snp-tcb-floor", |plan| plan.floor.snp += 1),
    ("snp-tcb-floor", |plan| plan.floor.microcode += 1),
    ("snp-report-signature", |plan| {
        plan.key = SigningKey::from_slice(&[6; 48]).unwrap()
    }),
    ("snp-report-signature", |plan| {
        plan.after = |report| report[SIGNED] ^= 1
    }),
    ("snp-signature-form", |plan| {
        plan.after = |report| report[SIGNED + 48] = 1
    }),
    ("snp-signature-form", |plan| {
        plan.after = |report| report[SIGNED + 143] = 1
    }),
    ("snp-signature-form", |plan| {
        plan.after = |report| report[1183] = 1
    }),
    ("snp-signature-form", |plan| {
        plan.after = |report| report[SIGNED..SIGNED + 48].fill(0);
    }),
    ("snp-signature-form", |plan| {
        plan.after = |report| report[SIGNED..SIGNED + 48].fill(0xff);
    }),
    ("snp-vcek-length", |plan| {
        plan.after_vcek = |vcek| vcek.resize(4097, 0)
    }),
    ("root-not-pinned", |plan| {
        plan.anchor = Some(SnpAnchor::amd())
    }),
    ("root-not-pinned", |plan| {
        plan.vcek.issuer = "SEV-Other".to_owned()
    }),
    ("certificate-not-der", |plan| plan.after_vcek = Vec::clear),
    ("certificate-not-der", |plan| {
        plan.after_vcek = |vcek| vcek.push(0)
    }),
    ("certificate-version", |plan| plan.vcek.version = 2),
    ("certificate-signature", |plan| {
        plan.after_vcek = |vcek| *vcek.last_mut().unwrap() ^= 1
    }),
    ("certificate-signature-algorithm", |plan| {
        plan.vcek.algorithm = Some(pss_sha384(47))
    }),
    ("certificate-expired", |plan| {
        plan.vcek.not_after = AT.earlier_by_millis(1000)
    }),
    ("certificate-not-yet-valid", |plan| {
        plan.vcek.not_before = AT.later_by_millis(1000)
    }),
    ("certificate-expired", |plan| {
        plan.intermediate_not_after = AT.earlier_by_millis(1000)
    }),
    ("certificate-expired", |plan| {
        plan.at = AT.later_by_millis(101 * DAY_MS)
    }),
    ("certificate-not-yet-valid", |plan| {
        plan.at = AT.earlier_by_millis(101 * DAY_MS)
    }),
    ("certificate-public-key", |plan| {
        let key = p256::ecdsa::SigningKey::from_slice(&[5; 32]).unwrap();
        plan.vcek.key = p256_key_info(&key);
    }),
    ("certificate-duplicate-extension", |plan| {
        let twice = extension(plan, SNP_LEVEL).clone();
        plan.vcek.extensions.push(twice);
    }),
    ("certificate-unknown-critical-extension", |plan| {
        plan.vcek.extensions.push(Extension {
            critical: true,
            ..Extension::new("1.2.3", vec![])
        });
    }),
];

const SNP_LEVEL: &str = "1.3.6.1.4.1.3704.1.3.3";

fn extension<'a>(plan: &'a mut Plan, oid: &str) -> &'a mut Extension {
    let mut extensions = plan.vcek.extensions.iter_mut();
    extensions.find(|extension| extension.oid == oid).unwrap()
}

#[test]
fn refuses_every_single_lie_by_its_name() {
    for (index, (code, lie)) in LIES.iter().enumerate() {
        let mut plan = Plan::new(Product::Milan);
        lie(&mut plan);
        let got = plan.verify().map_err(|error| error.code());
        assert_eq!(
            got.map_or_else(|code| code, |_| "accepted"),
            *code,
            "lie {index}"
        );
    }
}

#[test]
fn there_is_a_lie_for_every_reason() {
    let told: BTreeSet<&str> = LIES.iter().map(|(code, _)| *code).collect();
    let reasons = codes_of(include_str!("../src/snp/error.rs"));
    assert!(reasons.len() > 18, "{reasons:?}");
    for reason in reasons {
        assert!(told.contains(reason), "no lie for {reason}");
    }
}

#[test]
fn turin_uses_eight_bytes_of_the_chips_number() {
    for offset in [0x1a0, 0x1a7, 0x1a8, 0x1df] {
        let mut plan = Plan::new(Product::Turin);
        plan.put(offset, &[1]);
        assert_eq!(plan.verify().unwrap_err().code(), "snp-chip", "{offset:#x}");
    }
    // The first mutable code's level, which the others have not.
    let mut plan = Plan::new(Product::Turin);
    plan.put(0x180, &[1]);
    assert_eq!(plan.verify().unwrap_err().code(), "snp-tcb");
    let mut plan = Plan::new(Product::Turin);
    plan.floor.fmc += 1;
    assert_eq!(plan.verify().unwrap_err().code(), "snp-tcb-floor");
}

#[test]
fn a_chips_number_may_be_der_of_its_bytes() {
    let mut plan = Plan::new(Product::Milan);
    extension(&mut plan, HARDWARE_ID).value = common::der::octets(&[9; 64]);
    plan.verify().unwrap();
}

/// Signed bytes that decide nothing: which of the versions that are read, what the platform has
/// switched on, whether the provider enabled an author's key or masks chips, what is reserved, the
/// guest's drawn identifier, the model within the product and its stepping, builds and mitigations
/// of the firmware, and levels above the floor.
const FREE: &[Range<usize>] = &[
    0..1,
    0x38..0x48,
    0x48..0x50,
    0x140..0x160,
    0x189..0x1a0,
    0x1e0..0x1f8,
    0x1f8..SIGNED,
];

#[test]
fn every_other_signed_byte_is_checked_or_bound() {
    let base = Plan::new(Product::Milan);
    let (trust, vcek) = (base.trust(), base.vcek());
    let references = [*base.verify().unwrap().measurement()];
    for offset in 0..SIGNED {
        if FREE.iter().any(|range| range.contains(&offset)) {
            continue;
        }
        let mut plan = base.clone();
        plan.report[offset] ^= 1;
        let accepted = verify_snp(&plan.report(), &vcek, &trust, AT)
            .ok()
            .and_then(|verified| verified.expect(&expected(&references)).ok());
        assert!(accepted.is_none(), "offset {offset:#x}");
    }
}

#[test]
fn every_byte_changed_after_signing_is_refused() {
    let base = Plan::new(Product::Milan);
    let (trust, vcek, report) = (base.trust(), base.vcek(), base.report());
    for offset in 0..report.len() {
        let mut changed = report.clone();
        changed[offset] ^= 0x80;
        assert!(
            verify_snp(&changed, &vcek, &trust, AT).is_err(),
            "{offset:#x}"
        );
    }
}

#[test]
fn the_levels_of_the_sample_are_where_they_are_said_to_be() {
    // Bootloader, TEE, SNP, microcode of a Milan chip, as its certificate has them one by one.
    assert_eq!(LEVEL, [3, 1, 0, 0, 0, 0, 8, 115]);
    let plan = Plan::new(Product::Milan);
    let floor = plan.floor;
    assert_eq!(
        [floor.bootloader, floor.tee, floor.snp, floor.microcode],
        [3, 1, 8, 115]
    );
}

/// True evidence, made once.
struct True {
    report: Vec<u8>,
    vcek: Vec<u8>,
    trust: Trust,
}

static TRUE: LazyLock<True> = LazyLock::new(|| {
    let plan = Plan::new(Product::Milan);
    True {
        report: plan.report(),
        vcek: plan.vcek(),
        trust: plan.trust(),
    }
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_make_it_panic(
        report in proptest::collection::vec(any::<u8>(), 0..1300),
        vcek in proptest::collection::vec(any::<u8>(), 0..1500),
    ) {
        prop_assert!(verify_snp(&report, &vcek, &TRUE.trust, AT).is_err());
    }

    #[test]
    fn neither_cut_nor_changed_evidence_makes_it_panic(
        cut in 0..1400_usize,
        flips in proptest::collection::vec((0..1400_usize, 1..=255_u8), 1..4),
        in_report in any::<bool>(),
    ) {
        let True { report, vcek, trust } = &*TRUE;
        let (mut cut_report, mut cut_vcek) = (report.clone(), vcek.clone());
        let target = if in_report { &mut cut_report } else { &mut cut_vcek };
        target.truncate(cut);
        for (at, bits) in flips {
            if let Some(byte) = target.get_mut(at) {
                *byte ^= bits;
            }
        }
        // Two flips of one byte may undo each other.
        let is_as_it_was = *report == cut_report && *vcek == cut_vcek;
        let result = verify_snp(&cut_report, &cut_vcek, trust, AT);
        prop_assert_eq!(result.is_ok(), is_as_it_was);
    }
}
